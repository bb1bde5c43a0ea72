//! Large files are decrypted by two threads: the result, the MAC and the fault that is told are those of one.

use std::process::Command;

use super::world::{World, tool};

/// A file of which sops makes some 500 KiB, with comments and numbers among its values.
fn large() -> World {
    let world = World::new();
    let lines = (0..3_000).map(|number| match number % 7 {
        0 => format!("# about {number}\nkey{number}: {number}\n"),
        1 => format!("key{number}: [a, {number}, true]\n"),
        2 => format!("key{number}: # beside\n  inner: value {number}\n"),
        _ => format!("key{number}: value {number}\n"),
    });
    world.encrypted("large.yaml", &lines.collect::<Vec<_>>().concat());
    world
}

#[test]
fn a_large_file_decrypts_as_sops_decrypts_it() {
    let world = large();
    let theirs = Command::new(tool("sops-3.13.3/sops"))
        .args(["decrypt", "large.yaml"])
        .env("SOPS_AGE_KEY_FILE", world.path("keys/age.txt"))
        .current_dir(world.path("repo/app"))
        .output()
        .unwrap();
    let ours = world.run(&["decrypt", "large.yaml"], "repo/app");
    assert!(theirs.status.success() && ours.stdout.as_bytes() == theirs.stdout, "{}", ours.stderr);
}

#[test]
fn the_first_fault_of_a_large_file_is_told() {
    let tampered = |keys: &[&str]| {
        let world = large();
        for key in keys {
            world.edit("repo/app/large.yaml", |text| {
                let (before, after) = text.split_once(&format!("\n{key}: ENC[AES256_GCM,data:")).unwrap();
                let other = if after.starts_with('A') { "B" } else { "A" };
                format!("{before}\n{key}: ENC[AES256_GCM,data:{other}{}", &after[1..])
            });
        }
        world.run(&["decrypt", "large.yaml"], "repo/app")
    };
    for (keys, told) in
        [(&["key10", "key2999"][..], "`key10`"), (&["key2999"], "`key2999`"), (&["key2999", "key2901"], "`key2901`")]
    {
        let outcome = tampered(keys);
        assert!(outcome.code == 4 && outcome.stdout.is_empty() && outcome.stderr.contains(told), "{}", outcome.stderr);
    }
}

#[test]
fn values_of_a_large_file_that_changed_places_are_noticed() {
    let world = large();
    // Open values are covered by the MAC alone: its order is that of the file, whichever thread was first.
    world.file(
        "repo/app/open.yaml",
        &(0..9_000).map(|number| format!("k{number}_unencrypted: {number}\n")).collect::<Vec<_>>().concat(),
    );
    let text = std::fs::read_to_string(world.path("repo/app/open.yaml")).unwrap() + "secret: x\n";
    world.encrypted("open.yaml", &text);
    assert_eq!(world.run(&["decrypt", "open.yaml"], "repo/app").code, 0);
    world.edit("repo/app/open.yaml", |text| text.replace("k8000_unencrypted: 8000", "k8000_unencrypted: 8001"));
    let outcome = world.run(&["decrypt", "open.yaml"], "repo/app");
    assert!(outcome.code == 4 && outcome.stderr.contains("MAC"), "{}", outcome.stderr);
}
