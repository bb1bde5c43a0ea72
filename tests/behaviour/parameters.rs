//! What the Parameters tab of Argo CD is told.

use super::world::{CANARY, World};

fn announced(world: &World, folder: &str, variables: &[(&str, &str)]) -> serde_json::Value {
    let mut command = world.command(&["parameters"]);
    let output = command.current_dir(world.path(folder)).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!text.contains(&CANARY[..10]), "{text}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("nothing but JSON: {text}"))
}

#[test]
fn the_tab_shows_which_values_files_there_are_and_decrypts_none() {
    let world = World::new().set("ARGOCD_SOPS_POLICY", "").set("SOPS_AGE_KEY_FILE", "/nowhere");
    world.with_canary().file("repo/app/env/prod.yaml", "a: 1\n");
    let application = [("ARGOCD_APP_NAME", "web"), ("ARGOCD_APP_SOURCE_PATH", "app")];
    let json = announced(&world, "repo/app", &application);
    assert_eq!(json[0]["name"], "valueFiles");
    assert_eq!(json[0]["array"], serde_json::json!(["values.yaml", "secrets://secrets.yaml", "env/prod.yaml"]));
    let release = json.as_array().unwrap().iter().find(|each| each["name"] == "releaseName").unwrap();
    assert_eq!(release["string"], "web");
}

#[test]
fn what_the_tab_shows_can_be_rendered() {
    let world = World::new();
    world.with_canary();
    let json = announced(&world, "repo/app", &[("ARGOCD_APP_NAME", "web")]);
    let given = serde_json::json!([{"name": "valueFiles", "array": json[0]["array"]}]);
    let outcome = world.plugin(&given.to_string(), &[("ARGOCD_SOPS_POLICY", "open")]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}

#[test]
fn the_tab_is_never_failed_by_what_an_application_says() {
    let world = World::new().set("ARGOCD_SOPS_LOG_LEVEL", "nonsense");
    let odd = [
        ("ARGOCD_APP_NAME", "--x"),
        ("ARGOCD_APP_SOURCE_PATH", "../../.."),
        ("ARGOCD_APP_PARAMETERS", "[{\"name\": \"nobody\"}]"),
    ];
    assert!(announced(&world, "repo/app", &odd).as_array().unwrap().len() > 10);
}
