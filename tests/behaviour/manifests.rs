//! What may be handed on to Argo CD.

use super::world::World;

#[test]
fn no_objects_are_an_error_unless_the_application_allows_it() {
    let world = World::new();
    world.template("secret.yaml", "{{- if .Values.never }}\na: b\n{{- end }}\n");
    let outcome = world.generate("plugin: {name: sops}");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    let outcome = world.generate("plugin: {name: sops, parameters: [{name: allowEmpty, string: 'true'}]}");
    assert_eq!((outcome.code, outcome.stdout.trim()), (0, ""), "{}", outcome.stderr);
}

#[test]
fn kinds_that_carry_ciphertext_on_purpose_pass_where_the_operator_lists_them() {
    let world = World::new();
    world.template(
        "secret.yaml",
        "apiVersion: isindir.github.com/v1alpha3\nkind: SopsSecret\nmetadata: {name: a}\nspec: {x: 'ENC[AES256_GCM,data:a]'}\n",
    );
    assert_eq!(world.generate("plugin: {name: sops}").code, 1);
    let world = world.set("ARGOCD_SOPS_ENCRYPTED_KINDS", "Other, SopsSecret");
    assert_eq!(world.generate("plugin: {name: sops}").code, 0);
}

#[test]
fn what_helm_prints_is_handed_on_unchanged() {
    let world = World::new();
    world.template(
        "notes.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {a: \"yes\", b: 0x10}\n# tail\n",
    );
    let rendered = world.generate("plugin: {name: sops}").stdout;
    assert!(rendered.contains("data: {a: \"yes\", b: 0x10}\n# tail\n"), "{rendered}");
}
