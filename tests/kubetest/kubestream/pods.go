package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
	client "k8s.io/client-go/tools/remotecommand"
)

// pods is the folder of pods; it runs commands in them and dials their loopback addresses.
type pods string

func (p pods) read(names ...string) (string, error) {
	bytes, err := os.ReadFile(filepath.Join(append([]string{string(p)}, names...)...))
	return strings.TrimSpace(string(bytes)), err
}

// ExecInContainer runs a command where a container's process lives: its network, its mounts, its folder.
func (p pods) ExecInContainer(ctx context.Context, pod string, _ types.UID, container string, command []string,
	stdin io.Reader, stdout, stderr io.WriteCloser, _ bool, _ <-chan client.TerminalSize, _ time.Duration) error {
	pid, err := p.read(pod, container, "pid")
	if err != nil {
		return err
	}
	enter := []string{"-t", pid, "-n", "-m", "--wd=" + filepath.Join(string(p), pod, container), "--"}
	run := exec.CommandContext(ctx, "nsenter", append(enter, command...)...)
	run.Env = []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	run.Stdin = stdin
	// What was not asked for is a nil writer, which must not become an interface that holds nil.
	if stdout != nil {
		run.Stdout = stdout
	}
	if stderr != nil {
		run.Stderr = stderr
	}
	return ended(run.Run())
}

// status is a command's end as the streaming library reads it.
type status struct{ *exec.ExitError }

func (s status) String() string  { return s.Error() }
func (s status) Exited() bool    { return true }
func (s status) ExitStatus() int { return s.ExitCode() }

func ended(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return status{exit}
	}
	return err
}

// PortForward joins a stream to a port of the pod's loopback address.
func (p pods) PortForward(_ context.Context, pod string, _ types.UID, port int32, stream io.ReadWriteCloser) error {
	namespace, err := p.read(pod, "netns")
	if err != nil {
		return err
	}
	connection, err := dialIn(namespace, int(port))
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, stream)
		if half, ok := connection.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	_, err = io.Copy(stream, connection)
	return err
}

// dialIn connects to 127.0.0.1:port in a network namespace. A socket belongs to the namespace of the thread that
// made it, so a thread of its own enters, and ends with its goroutine.
func dialIn(namespace string, port int) (net.Conn, error) {
	type answer struct {
		connection net.Conn
		err        error
	}
	answers := make(chan answer, 1)
	go func() {
		runtime.LockOSThread()
		connection, err := enterAndDial(namespace, port)
		answers <- answer{connection, err}
	}()
	got := <-answers
	return got.connection, got.err
}

func enterAndDial(namespace string, port int) (net.Conn, error) {
	target, err := os.Open(namespace)
	if err != nil {
		return nil, err
	}
	defer target.Close()
	if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	descriptor, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	socket := os.NewFile(uintptr(descriptor), "port-forward")
	defer socket.Close()
	loopback := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Connect(descriptor, loopback); err != nil {
		return nil, err
	}
	return net.FileConn(socket)
}
