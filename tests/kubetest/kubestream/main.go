// Command kubestream is the half of a kubelet that the API server dials: logs, exec and port-forward of pods
// that live in network namespaces.
//
//	kubestream ADDRESS PODS CERTIFICATE KEY
//
// PODS is a folder. A pod is the folder <namespace>_<name> in it, with the file netns (the path of its network
// namespace) and a folder for each container, with the files log and pid.
package main

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	protocols "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
	"k8s.io/kubelet/pkg/cri/streaming/remotecommand"
)

const (
	idle     = time.Hour
	creation = 30 * time.Second
)

// A goroutine that enters a pod's namespace takes its thread to the grave. The main thread must not be the one,
// since it stands for the process in /proc; so the main goroutine holds on to it.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: kubestream ADDRESS PODS CERTIFICATE KEY")
	}
	pair, err := tls.LoadX509KeyPair(os.Args[3], os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	// Both streaming protocols upgrade an HTTP/1.1 connection.
	config := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	server := &http.Server{Addr: os.Args[1], Handler: handler(pods(os.Args[2])), TLSConfig: config}
	log.Fatal(server.ListenAndServeTLS("", ""))
}

func handler(pods pods) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", pods.logs)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", pods.exec)
	mux.HandleFunc("/portForward/{namespace}/{pod}", pods.portForward)
	return mux
}

// folder is the pod's folder that a request is about, and the name under which the other half of this program
// (see pods.go) finds it.
func folder(request *http.Request) string {
	return filepath.Base(request.PathValue("namespace") + "_" + request.PathValue("pod"))
}

func (p pods) logs(response http.ResponseWriter, request *http.Request) {
	container := filepath.Base(request.PathValue("container"))
	file, err := os.Open(filepath.Join(string(p), folder(request), container, "log"))
	if err != nil {
		http.Error(response, err.Error(), http.StatusNotFound)
		return
	}
	defer file.Close()
	_, _ = io.Copy(response, file)
}

func (p pods) exec(response http.ResponseWriter, request *http.Request) {
	options, err := remotecommand.NewOptions(request)
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	container, command := request.PathValue("container"), request.URL.Query()["command"]
	remotecommand.ServeExec(response, request, p, folder(request), "", container, command, options,
		idle, creation, protocols.SupportedStreamingProtocols)
}

func (p pods) portForward(response http.ResponseWriter, request *http.Request) {
	options, err := portforward.NewV4Options(request)
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(response, request, p, folder(request), "", options,
		idle, creation, portforward.SupportedProtocols)
}
