//! The engine as the discovery server sees it.

use std::sync::Arc;

use envoy_api::type_url;
use tokio::sync::oneshot;
use tonic::Status;
use xds::{Answer, Connection, Hello, Hooks, Interest, Link, Planned, Question};

use crate::engine::{Command, Handle};
use crate::planner::Wanted;

/// Answers the discovery server from the engine.
#[derive(Clone)]
pub struct Discovery {
    engine: Handle,
}

impl Discovery {
    /// From this engine.
    pub fn new(engine: Handle) -> Self {
        Self { engine }
    }
}

impl Hooks for Discovery {
    fn is_ready(&self) -> bool {
        self.engine.snapshots.borrow().generation > 0
    }

    async fn connect(&self, hello: Hello) -> Result<Connection, Status> {
        let proxy = crate::node::proxy(&hello.node).map_err(Status::invalid_argument)?;
        let workload = proxy.workload_id.clone();
        let (reply, answer) = oneshot::channel();
        let ended = |()| Status::unavailable("shutting down");
        self.engine.commands.send(Command::Connect(Box::new(proxy), reply)).map_err(|_| ended(()))?;
        let (number, views) = answer.await.map_err(|_| ended(()))?;
        let link = EngineLink { number, wanted: Wanted::default(), engine: self.engine.clone() };
        Ok(Connection { id: Arc::from(format!("{workload}-{number}")), views, link: Box::new(link) })
    }

    async fn debug(&self, question: Question) -> Result<Answer, Status> {
        Err(Status::unimplemented(format!("{} is not served", question.type_url)))
    }
}

struct EngineLink {
    number: u64,
    wanted: Wanted,
    engine: Handle,
}

impl Link for EngineLink {
    fn wanted(&mut self, url: &str, interest: &Interest) -> Result<Planned, Status> {
        if url == type_url::ROUTE {
            let routes = interest.names().clone();
            if self.wanted.routes != routes {
                self.wanted.routes = routes;
                self.wanted.changes += 1;
                let command = Command::Want(self.number, self.wanted.clone());
                let sent = self.engine.commands.send(command);
                sent.map_err(|_| Status::unavailable("shutting down"))?;
                return Ok(Planned::From(self.wanted.changes));
            }
        }
        Ok(Planned::Already)
    }

    fn current(&mut self, _generation: u64) {}
}

impl Drop for EngineLink {
    fn drop(&mut self) {
        // Nobody is left to tell if the engine has ended first.
        drop(self.engine.commands.send(Command::Disconnect(self.number)));
    }
}
