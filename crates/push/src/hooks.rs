//! The engine as the discovery server sees it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use envoy_api::type_url;
use model::{Caller, Proxy};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tonic::Status;
use xds::{Answer, Connection, Hello, Hooks, Interest, Link, Planned, Question, View};

use crate::engine::{Command, Handle};
use crate::planner::Wanted;
use crate::wishes::Wish;

/// Answers what is asked about the state itself: types whose URL begins with `istio.io/debug`.
///
/// Another crate renders the state and hands this in, so that nothing here knows of pages.
pub type Inspect = dyn Fn(&Question) -> Result<Answer, Status> + Send + Sync;

/// Answers the discovery server from the engine. A clone is a handle.
#[derive(Clone)]
pub struct Discovery {
    engine: Handle,
    inspect: Arc<OnceLock<Box<Inspect>>>,
    checks_identity: bool,
    impostors: Arc<AtomicU64>,
}

impl Discovery {
    /// From this engine.
    pub fn new(engine: Handle) -> Self {
        Self { engine, inspect: Arc::default(), checks_identity: true, impostors: Arc::default() }
    }

    /// Whether a verified caller may be no other proxy than one of its own account; it may not, unless this says
    /// otherwise (`PILOT_ENABLE_XDS_IDENTITY_CHECK`).
    pub fn checking_identity(self, checks_identity: bool) -> Self {
        Self { checks_identity, ..self }
    }

    /// How many streams were refused because the node announced is not the caller's.
    pub fn impostors(&self) -> u64 {
        self.impostors.load(Ordering::Relaxed)
    }

    /// A node in a namespace, and of a service account if it names one, is its caller's (istiod-surface 7.9). Where
    /// nobody asked who is calling, everybody is whom they say.
    fn check(&self, proxy: &Proxy, caller: Option<&Caller>) -> Result<(), Status> {
        let Some(caller) = caller.filter(|_| self.checks_identity) else { return Ok(()) };
        let account = &proxy.service_account;
        let is_own = |said: &str, own: &str| said.is_empty() || said == own;
        if is_own(&proxy.namespace, &caller.namespace) && is_own(account, &caller.service_account) {
            return Ok(());
        }
        self.impostors.fetch_add(1, Ordering::Relaxed);
        Err(Status::permission_denied(format!(
            "authorization failed: no identities (spiffe://{}/ns/{}/sa/{}) matched {}/{account}",
            caller.trust_domain, caller.namespace, caller.service_account, proxy.namespace
        )))
    }

    /// From now on questions are answered by this; only the first call counts.
    pub fn inspect_by(&self, inspect: impl Fn(&Question) -> Result<Answer, Status> + Send + Sync + 'static) {
        self.inspect.get_or_init(|| Box::new(inspect));
    }
}

impl Hooks for Discovery {
    fn is_ready(&self) -> bool {
        self.engine.snapshots.borrow().generation > 0
    }

    async fn connect(&self, hello: Hello) -> Result<Connection, Status> {
        if hello.type_url.starts_with(type_url::DEBUG) {
            return Ok(asker(&hello));
        }
        let proxy = crate::node::proxy(&hello.node).map_err(Status::invalid_argument)?;
        self.check(&proxy, hello.extensions.get::<Caller>())?;
        let workload = proxy.workload_id.clone();
        let (reply, answer) = oneshot::channel();
        let ended = |()| Status::unavailable("shutting down");
        let command = Command::Connect(Box::new(proxy), reply);
        self.engine.commands.send(command).await.map_err(|_| ended(()))?;
        let (number, views) = answer.await.map_err(|_| ended(()))?;
        let link = EngineLink { number, wanted: Wanted::default(), engine: self.engine.clone() };
        Ok(Connection { id: Arc::from(format!("{workload}-{number}")), views, link: Box::new(link) })
    }

    async fn debug(&self, question: Question) -> Result<Answer, Status> {
        let inspect = Arc::clone(&self.inspect);
        let answer = tokio::task::spawn_blocking(move || match inspect.get() {
            Some(inspect) => inspect(&question),
            None => Err(Status::unimplemented(format!("{} is not served", question.type_url))),
        });
        answer.await.unwrap_or_else(|error| Err(Status::internal(format!("rendering the answer: {error}"))))
    }
}

/// Lets somebody in who comes to ask and takes no configuration: nothing is planned for them.
fn asker(hello: &Hello) -> Connection {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let nothing = View {
        generation: 0,
        label: Arc::default(),
        wants: 0,
        since: Instant::now(),
        types: BTreeMap::new(),
    };
    let (sender, views) = watch::channel(Arc::new(nothing));
    let id = format!("{}-asks-{}", hello.node.id, COUNT.fetch_add(1, Ordering::Relaxed));
    Connection { id: id.into(), views, link: Box::new(AskerLink { _views: sender }) }
}

struct AskerLink {
    /// The stream lives as long as this does.
    _views: watch::Sender<Arc<View>>,
}

impl Link for AskerLink {
    fn wanted(&mut self, _url: &str, _interest: &Interest) -> Result<Planned, Status> {
        Ok(Planned::Already)
    }

    fn current(&mut self, _generation: u64) {}
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
                self.engine.wishes.put(self.number, Wish::Names(self.wanted.clone()));
                return Ok(Planned::From(self.wanted.changes));
            }
        }
        Ok(Planned::Already)
    }

    fn current(&mut self, _generation: u64) {}
}

impl Drop for EngineLink {
    fn drop(&mut self) {
        self.engine.wishes.put(self.number, Wish::Gone);
    }
}
