//! What the discovery server asks of the rest of the house.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Extensions;
use tokio::sync::watch;
use tonic::Status;

use envoy_api::Any;
use envoy_api::envoy::config::core::v3::Node;

use crate::interest::Interest;
use crate::view::View;

/// What the discovery server asks of the rest of the house.
pub trait Hooks: Send + Sync + 'static {
    /// Whether there is anything to serve. Until then streams are turned away as unavailable.
    fn is_ready(&self) -> bool;

    /// Lets a proxy in, or says why not; the stream then ends with that status.
    fn connect(&self, hello: Hello) -> impl Future<Output = Result<Connection, Status>> + Send;

    /// Answers a request for a debug type (its URL begins with `istio.io/debug`); an error ends the stream.
    fn debug(&self, question: Question) -> impl Future<Output = Result<Answer, Status>> + Send;
}

/// The first request of a stream.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Who the proxy says it is; the id is not empty, nothing else is checked.
    pub node: Node,
    /// The type that it asked for first.
    pub type_url: String,
    /// Whether it speaks state of the world.
    pub state_of_the_world: bool,
    /// Where it connects from, if that is known.
    pub peer: Option<SocketAddr>,
    /// What the layers in front put into the request, the verified caller among it.
    pub extensions: Extensions,
}

/// A proxy that was let in. Dropping the link tells that it is gone.
pub struct Connection {
    /// Unique among the connections of this process.
    pub id: Arc<str>,
    /// What the proxy is served, newest only. If the sender goes away the stream ends.
    pub views: watch::Receiver<Arc<View>>,
    /// How the stream reports to whoever makes its views.
    pub link: Box<dyn Link>,
}

/// How a stream reports to whoever makes its views.
pub trait Link: Send {
    /// The client now wants this of a type. Called before its request is answered, and whenever it changes
    /// what it wants, so that sets and single names can be planned when they are first wanted.
    ///
    /// A type that is not known is left out of the views; it is then not answered, and the stream goes on.
    /// An error ends the stream.
    fn wanted(&mut self, type_url: &str, interest: &Interest) -> Result<Planned, Status>;

    /// The client has answered all that it was sent of views up to this generation.
    fn current(&mut self, generation: u64);
}

/// Which views take into account what a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// The one there is: nothing has to be planned.
    Already,
    /// Those whose [`View::wants`] is at least this. Until one comes, names that no set has are not answered.
    From(u64),
}

/// A request for a debug type.
#[derive(Clone, Debug)]
pub struct Question {
    /// The type.
    pub type_url: String,
    /// The resources asked for: paths below `/debug`, or names of proxies.
    pub names: Vec<String>,
    /// Who asks, by its own account.
    pub node: Arc<Node>,
    /// The connection that it asks on.
    pub connection: Arc<str>,
    /// What the layers in front put into the request, the verified caller among it.
    pub extensions: Extensions,
}

/// The answer to a request for a debug type.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The resources, each with the name that delta gives it.
    pub resources: Vec<(String, Any)>,
    /// Who answers (`control_plane.identifier`), where the type wants it said.
    pub control_plane: Option<String>,
}
