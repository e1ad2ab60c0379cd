//! Files that tests save into the example's folder.

use std::net::IpAddr;

/// `routes-reviews.yaml`: so many parts in a hundred for v1 and the others for v3 of reviews.
pub fn canary(stays: u32, goes: u32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: bookinfo}}
spec:
  hosts: [reviews]
  http:
  - route:
    - {{destination: {{host: reviews, subset: v1}}, weight: {stays}}}
    - {{destination: {{host: reviews, subset: v3}}, weight: {goes}}}
"
    )
}

/// One more Pod of reviews v1 at this address, without a proxy.
pub fn one_more(ip: IpAddr) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: reviews-v1b, namespace: bookinfo, labels: {{app: reviews, version: v1}}}}
spec:
  containers: [{{name: reviews, image: reviews, ports: [{{name: http, containerPort: 8080}}]}}]
status: {{phase: Running, podIP: {ip}, conditions: [{{type: Ready, status: 'True'}}]}}
"
    )
}
