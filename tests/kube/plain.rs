//! The API server alone, on loopback: what a test needs that wants nothing but the API.

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::cluster::plane::{Place, Plane};

use crate::house::step;
use crate::means::Means;

pub(crate) async fn run(means: &Means, is_kept: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    // In fresh namespaces loopback is down.
    testkit::cluster::run(tokio::process::Command::new("ip").args(["link", "set", "lo", "up"])).await?;
    let plane = step("the API server is ready", async {
        Ok(Plane::start(folder.path(), &means.kubetest, Place::loopback()?).await?)
    })
    .await?;
    let result = step("objects come and go", objects(&plane)).await;
    if is_kept {
        println!("    KUBECONFIG={}", plane.kubeconfig().display());
        std::future::pending::<()>().await;
    }
    plane.end().await;
    result
}

async fn objects(plane: &Plane) -> Result<()> {
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({"metadata": {"name": "a"}, "data": {"x": "1"}});
    plane.api.create(maps, &map).await?;
    let one = format!("{maps}/a");
    plane.api.merge(&one, &json!({"data": {"x": "2"}})).await?;
    let found = plane.api.get(&one).await?;
    ensure!(found.pointer("/data/x") == Some(&json!("2")), "{found}");
    plane.api.delete(&one).await?;
    ensure!(plane.api.find(&one).await?.is_none(), "it is still there");
    Ok(())
}
