//! The included alert rules and the dashboard, with a real Prometheus that scrapes a sensor.

use std::fs;
use std::path::{Path, PathBuf};

use tests::netns::Wire;
use tests::scenes;

use super::*;

/// A file under packaging/.
fn packaged(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(path)
}

/// The queries of the dashboard, for all sensors and over a short time.
fn dashboard_queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_slice(&fs::read(packaged("grafana/ja4sensor.json")).unwrap()).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let query = |target: &Value| target["expr"].as_str().unwrap().to_owned();
    targets.map(query).map(|query| query.replace("$instance", ".*").replace("$__rate_interval", "10s")).collect()
}

#[test]
fn the_dashboard_and_the_rules_work_in_a_real_prometheus() {
    if !require_tools(&["prometheus", "promtool"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("sensor.db");
    let wire = Wire::new();
    let host = wire.server();
    let options = ["--http", "127.0.0.1:9418", "--db", database.to_str().unwrap()];
    let sensor = RunningSensor::start(host, &options);
    let rules = packaged("prometheus/ja4sensor.rules.yml");
    let config = folder.path().join("prometheus.yml");
    let settings = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{rules:?}]\nscrape_configs:\n\
         - {{job_name: ja4sensor, static_configs: [{{targets: ['127.0.0.1:9418']}}]}}\n"
    );
    fs::write(&config, settings).unwrap();
    host.run(&["promtool", "check", "config", config.to_str().unwrap()]).ok();
    host.run(&["promtool", "check", "rules", rules.to_str().unwrap()]).ok();
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.path().join("data").display()),
        "--web.listen-address=127.0.0.1:9090".to_owned(),
    ];
    let argv: Vec<&str> = std::iter::once("prometheus").chain(arguments.iter().map(String::as_str)).collect();
    let mut prometheus = host.spawn(&argv);
    host.wait_listening(&mut prometheus, 9090);
    scenes::tls(&wire);
    let ask = |path: &str, query: &str| -> Value {
        let url = format!("http://127.0.0.1:9090{path}");
        let data = format!("query={query}");
        let answer = host.run(&["curl", "-sS", "--get", "--data-urlencode", &data, &url]).ok();
        serde_json::from_str(answer.stdout()).unwrap()
    };
    for query in dashboard_queries() {
        let mut answer = Value::Null;
        let has_data = until(SOON, || {
            answer = ask("/api/v1/query", &query);
            answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty())
        });
        assert!(has_data, "{query}: {answer}");
    }
    let count = |query: &str| ask("/api/v1/query", query)["data"]["result"][0]["value"][1].as_str().map(str::to_owned);
    let hellos = scenes::TLS_CONNECTIONS.to_string();
    let counted = until(SOON, || count("ja4sensor_fingerprints_total{type=\"ja4\"}").as_ref() == Some(&hellos));
    assert!(counted, "{:?}", count("ja4sensor_fingerprints_total{type=\"ja4\"}"));
    // Every rule was evaluated, and none of them fires.
    let is_evaluated = || {
        let groups = ask("/api/v1/rules", "")["data"]["groups"].clone();
        let rules = groups[0]["rules"].as_array().cloned().unwrap_or_default();
        rules.len() == 8 && rules.iter().all(|rule| rule["health"] == "ok" && rule["state"] == "inactive")
    };
    assert!(until(SOON, is_evaluated), "{}", ask("/api/v1/rules", ""));
    drop(prometheus);
    sensor.stop().ok();
}
