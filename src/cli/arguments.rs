//! The command line: commands, their arguments and their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Renders Argo CD Applications whose Helm values are encrypted with SOPS.
///
/// In a repo-server sidecar it is the `generate` command of a config management plugin; in a terminal it renders the same
/// Application the same way. Files are decrypted natively: no sops, gpg, kubectl or shell is run, and nothing decrypted
/// is written to a disk, an argument or a variable.
#[derive(Debug, Parser)]
#[command(name = "argocd-sops", version, about, long_about, propagate_version = true, subcommand_required = true)]
#[command(arg_required_else_help = true, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 helm could not render; 2 usage or a wrong Application; 3 refused by policy;
4 cannot decrypt; 5 a dependency is missing, out of reach or out of time; 70 a bug.

Settings are environment variables; `README.md` lists them. The most important ones:
  ARGOCD_SOPS_KEYS    where private keys are mounted (default /etc/argocd-sops/keys)
  SOPS_AGE_KEY_FILE   as for sops, like SOPS_AGE_KEY and SOPS_AGE_SSH_PRIVATE_KEY_FILE
  ARGOCD_SOPS_POLICY  who may decrypt when Argo CD asks: `open`
  ARGOCD_SOPS_HELM    the helm that renders (default: helm on PATH)";

const GENERATE_EXAMPLES: &str = "\
Examples:
  SOPS_AGE_KEY_FILE=key.txt argocd-sops generate apps/web.yaml
  argocd-sops generate web.yaml --repo ../web --kube-version 1.34
  kubectl get application web -n argocd -o yaml | argocd-sops generate - --repo .";

const DECRYPT_EXAMPLES: &str = "\
Examples:
  argocd-sops decrypt secrets.yaml
  argocd-sops decrypt --input-type yaml --output-type json secrets.enc
  argocd-sops decrypt --extract '[\"database\"][\"password\"]' secrets.yaml";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Render an Application
    ///
    /// Without APP it is the `generate` command of a config management plugin: Argo CD hands the Application over in
    /// variables (`ARGOCD_APP_NAME`, `ARGOCD_APP_PARAMETERS`, `KUBE_VERSION`, ...), and its folder is the working directory.
    /// Decryption then needs `ARGOCD_SOPS_POLICY`.
    ///
    /// With APP it renders the Application of a manifest from a check-out, for people and CI. Applications with `plugin:`
    /// and, not migrated yet, with `helm:` are rendered alike. Every key that this process holds may be used.
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(Generate),
    /// Print the plaintext of one encrypted file
    ///
    /// It prints what `sops decrypt` prints, byte for byte, and nothing unless the whole file is sound. The format is taken
    /// from the file's name: .yaml, .yml, .json, .env, .ini; all else is binary.
    #[command(after_help = DECRYPT_EXAMPLES)]
    Decrypt(Decrypt),
    /// Serve as a config management plugin beside the repo-server
    ///
    /// It takes the place of `argocd-cmp-server` in a sidecar: listens on `sops.sock` in the folder that the repo-server looks
    /// for plugins in, and needs no `plugin.yaml`. Trees, data keys and rendered objects are shared between requests. SIGTERM
    /// removes the socket, answers what is running and ends with 0.
    Serve,
    /// Print what the Parameters tab of Argo CD shows
    ///
    /// It is the `parameters.dynamic` command of a config management plugin: the Application comes in variables, and its folder
    /// is the working directory. Prints a JSON list of all parameters and of the values files that the chart has; nothing is
    /// decrypted.
    Parameters,
    /// Ask the plugin server whether it serves, for the exec probe of a Pod
    ///
    /// It makes one gRPC health check over the socket that `serve` listens at, by the same variables. It prints nothing and
    /// exits with 0 where the server answers, else with 5.
    Healthcheck(Healthcheck),
    /// Print a completion script for a shell
    ///
    /// For example: `argocd-sops completions bash > /etc/bash_completion.d/argocd-sops`
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub(super) struct Generate {
    /// The Application's manifest; `-` reads it from stdin
    #[arg(value_name = "APP")]
    pub(super) app: Option<PathBuf>,
    /// The check-out of the Application's repository [default: the git work tree that holds APP]
    #[arg(long, value_name = "DIR", requires = "app")]
    pub(super) repo: Option<PathBuf>,
    /// The Kubernetes version of the target cluster, for example 1.34
    #[arg(long, value_name = "VERSION", requires = "app")]
    pub(super) kube_version: Option<String>,
    /// API versions of the target cluster, for example monitoring.coreos.com/v1; repeatable, or `,` between
    #[arg(long, value_name = "GROUP/VERSION", value_delimiter = ',', requires = "app")]
    pub(super) api_versions: Vec<String>,
    /// The check-out of a source that others refer to as `$NAME`; repeatable
    #[arg(long = "ref", value_name = "NAME=DIR", value_parser = named_folder, requires = "app")]
    pub(super) refs: Vec<(String, PathBuf)>,
}

fn named_folder(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => Ok((name.to_owned(), folder.into())),
        _ => Err("expected NAME=DIR, for example `values=../values`".into()),
    }
}

/// Arguments of `decrypt`.
#[derive(Debug, Args)]
pub(super) struct Decrypt {
    /// The encrypted file; `-` reads stdin, without a name: give --input-type and --output-type then
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The format of the file: yaml, json, dotenv, ini or binary
    #[arg(long, value_name = "FORMAT")]
    pub(super) input_type: Option<String>,
    /// The format to print in [default: by the file's name]
    #[arg(long, value_name = "FORMAT")]
    pub(super) output_type: Option<String>,
    /// Print only this part of the file
    #[arg(long, value_name = "PATH")]
    pub(super) extract: Option<String>,
    /// Blanks to indent YAML and JSON by [default: 4 for YAML, a tab for JSON]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(2..=9))]
    pub(super) indent: Option<u8>,
}

/// Arguments of `healthcheck`.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
}
