//! Random documents, encrypted by the real `sops`, decrypted by it and by us: the same bytes, or both refuse.
//!
//! A fifth of them is changed after encryption. What is tried, per format, type and selector, is printed at the end
//! with the seed. Settings, all optional: `DIFFERENTIAL_CASES` (how many), `DIFFERENTIAL_SEED`, `DIFFERENTIAL_ONLY`
//! (the number of one document), `DIFFERENTIAL_BINARY` (judge this program instead of ours; given the real `sops`, the
//! run must find nothing, which tests the test).
#![expect(clippy::disallowed_methods, reason = "a test starts programs and gives each an environment of its own")]

mod content;
mod flat;
mod mutation;
mod oddities;
#[path = "../peers/run.rs"]
mod peer;
mod random;
mod scenario;
mod table;
#[path = "../peers/tools.rs"]
mod tools;
mod yaml;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use content::Author;
use peer::{Outcome, run};
use random::Random;
use scenario::{Format, Scenario};
use table::Table;

/// Documents in a run that was not told how many: the table is full, and a fifth is changed.
const SHORT_RUN: usize = 200;

/// So many documents hold every type, so that no cell of the table depends on luck.
const RICH: usize = 70;

/// How often another document is tried when sops refuses to encrypt one.
const ATTEMPTS: u64 = 12;

/// So many mismatches are told in full.
const SHOWN: usize = 60;

/// The identities that files are encrypted for.
const IDENTITIES: [&str; 3] = ["age-1", "age-2", "age-3"];

#[test]
fn random_documents_decrypt_as_the_real_sops_decrypts_them() {
    let Some(sops) = tools::tool("sops-3.13.3/sops") else {
        say("differential: MISSED, the real sops is not here: nothing was compared");
        return;
    };
    let lab = Lab::open(sops);
    let documents = number("DIFFERENTIAL_CASES").map_or(SHORT_RUN, |cases| usize::try_from(cases).expect("a count"));
    let only = number("DIFFERENTIAL_ONLY").map(|only| usize::try_from(only).expect("a document's number"));
    say(&format!("differential: seed {}, {documents} documents", lab.seed));

    let started = Instant::now();
    let numbers: Vec<usize> = only.map_or_else(|| (0..documents).collect(), |only| vec![only]);
    let (next, summary) = (AtomicUsize::new(0), Mutex::new(Summary::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for compared in lab.document(*number) {
                        summary.lock().expect("no thread panics while it counts").count(compared);
                    }
                }
            });
        }
    });
    let summary = summary.into_inner().expect("no thread panics while it counts");
    let (table, empty) = summary.table.print();
    say(&table);
    say(&summary.print());
    say(&format!("seed {}, {} s", lab.seed, started.elapsed().as_secs()));
    let shown: Vec<&str> = summary.mismatches.iter().take(SHOWN).map(String::as_str).collect();
    assert!(shown.is_empty(), "mismatches:\n{}", shown.join("\n"));
    assert!(only.is_some() || documents < SHORT_RUN || empty.is_empty(), "empty cells:\n{}", empty.join("\n"));
}

/// Prints past the test harness, which would keep the output of a test that passes to itself.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("stdout is open");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number: `{value}`")))
}

/// Everything that one run works with.
struct Lab {
    seed: u64,
    sops: PathBuf,
    ours: PathBuf,
    keys: PathBuf,
    recipients: Vec<String>,
    /// Where inputs of mismatches are kept.
    kept: PathBuf,
}

/// What became of one document.
struct Compared {
    scenario: Option<Scenario>,
    rows: Vec<&'static str>,
    mutations: Vec<&'static str>,
    verdict: Verdict,
    /// How many documents sops refused to encrypt before this one.
    refused: usize,
}

impl Compared {
    /// No attempt was encrypted.
    fn nothing(refused: usize) -> Self {
        Self { scenario: None, rows: Vec::new(), mutations: Vec::new(), verdict: Verdict::NotEncrypted, refused }
    }
}

enum Verdict {
    /// sops refused to encrypt every attempt.
    NotEncrypted,
    /// Both decrypted to the same bytes.
    Same,
    /// Both refused; here also with the exit code of sops.
    BothRefuse(Option<i32>),
    /// They differ, in the way told.
    Mismatch(String),
}

impl Lab {
    fn open(sops: PathBuf) -> Self {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let seed = number("DIFFERENTIAL_SEED").unwrap_or(clock);
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sops/keys");
        let recipients = IDENTITIES.map(|name| {
            let text = fs::read_to_string(keys.join(format!("{name}.txt"))).expect("the identities of the vectors");
            let line = text.lines().find_map(|line| line.strip_prefix("# public key: "));
            line.expect("age-keygen names the recipient").to_owned()
        });
        let ours =
            std::env::var_os("DIFFERENTIAL_BINARY").map_or(env!("CARGO_BIN_EXE_argocd-sops").into(), PathBuf::from);
        let kept = std::env::temp_dir().join(format!("argocd-sops-differential-{seed}"));
        Self { seed, sops, ours, keys, recipients: recipients.to_vec(), kept }
    }

    /// Makes one document and compares; another one if sops does not encrypt it, or if cells of the table that this
    /// one is to fill are still empty.
    fn document(&self, number: usize) -> Vec<Compared> {
        let stream = u64::try_from(number).expect("usize fits u64");
        let mut all = Vec::new();
        let mut refused = 0;
        for attempt in 0..ATTEMPTS {
            let mut random = Random::new(self.seed, stream + attempt * 1_000_003);
            let scenario = Scenario::choose(&mut random, number, number < RICH);
            let mut wanted = if number < RICH { table::possible(&scenario) } else { Vec::new() };
            match self.compare(&mut random, scenario, number, attempt) {
                Some(compared) => all.push(compared),
                None => refused += 1,
            }
            let same = all.iter().filter(|compared| matches!(compared.verdict, Verdict::Same));
            let filled: Vec<&str> = same.flat_map(|compared| compared.rows.iter().copied()).collect();
            wanted.retain(|row| !filled.contains(row));
            let mismatch = all.iter().any(|compared| matches!(compared.verdict, Verdict::Mismatch(_)));
            if mismatch || wanted.is_empty() && !all.is_empty() {
                break;
            }
        }
        match all.first_mut() {
            Some(first) => first.refused = refused,
            None => all.push(Compared::nothing(refused)),
        }
        all
    }

    fn compare(&self, random: &mut Random, scenario: Scenario, number: usize, attempt: u64) -> Option<Compared> {
        let rich = number < RICH || random.chance(50);
        let plain = plaintext(&mut Author { random, scenario: &scenario }, rich);
        let home = tempfile::tempdir().expect("a temporary folder");
        let encrypted = self.encrypt(&scenario, &plain, home.path())?;
        let text = String::from_utf8(encrypted).expect("sops writes UTF-8");
        let rows = table::rows(&scenario, &text);

        // The documents that fill the table are left alone; of the others, so many that a fifth of all is changed.
        let mutated = number >= RICH && random.chance(if number < SHORT_RUN { 40 } else { 21 });
        let (mut changed, mut mutations, mut held) = (text, Vec::new(), scenario.held());
        if mutated {
            if random.chance(3) {
                mutations.push("identity missing");
                held.pop();
            }
            while mutations.is_empty() || mutations.len() < 3 && random.chance(15) {
                let (name, mutate) = random.choose(mutation::ALL);
                if let Some(other) =
                    mutate(random, &changed, scenario.format).filter(|other| *other != changed && !other.is_empty())
                {
                    changed = other;
                    mutations.push(*name);
                }
            }
        }

        let file = home.path().join(format!("encrypted.{}", scenario.format.extension()));
        fs::write(&file, &changed).expect("a file in the temporary folder");
        let identities: Vec<u8> = held.iter().flat_map(|number| self.identity(*number)).collect();
        let keys = home.path().join("identities.txt");
        fs::write(&keys, identities).expect("a file in the temporary folder");
        let theirs = decrypt(&self.sops, &scenario, &file, &keys);
        let ours = decrypt(&self.ours, &scenario, &file, &keys);

        let verdict = match difference(&theirs, &ours) {
            Some(what) => {
                let folder = self.keep(home.path(), &plain, &theirs, &ours, &format!("{number}-{attempt}"));
                let tried = if mutations.is_empty() { "as encrypted".to_owned() } else { mutations.join(", ") };
                let which = format!("{} {}", scenario.format.name(), scenario.selector.name());
                Verdict::Mismatch(format!(
                    "  document {number} ({which}, {tried}): {what}\n    {}",
                    reproduce(&folder, &scenario)
                ))
            }
            None if theirs.done() => Verdict::Same,
            None => Verdict::BothRefuse(theirs.code),
        };
        Some(Compared { scenario: Some(scenario), rows, mutations, verdict, refused: 0 })
    }

    /// Encrypts with the real sops; `None` when it refuses.
    fn encrypt(&self, scenario: &Scenario, plain: &[u8], home: &Path) -> Option<Vec<u8>> {
        let file = home.join(format!("plain.{}", scenario.format.extension()));
        fs::write(&file, plain).expect("a file in the temporary folder");
        let config = home.join("rules.yaml");
        fs::write(&config, scenario.config(&self.recipients)).expect("a file in the temporary folder");
        let arguments = ["--config".as_ref(), config.as_os_str(), "encrypt".as_ref(), file.as_os_str()];
        let outcome = run(&self.sops, &arguments, home, &[]);
        outcome.done().then_some(outcome.stdout)
    }

    fn identity(&self, number: usize) -> Vec<u8> {
        fs::read(self.keys.join(format!("{}.txt", IDENTITIES[number]))).expect("the identities of the vectors")
    }

    /// Keeps what a mismatch needs to be looked at: the random bytes of sops are other ones in the next run.
    fn keep(&self, home: &Path, plain: &[u8], theirs: &Outcome, ours: &Outcome, name: &str) -> PathBuf {
        let folder = self.kept.join(name);
        fs::create_dir_all(&folder).expect("a folder for what is kept");
        for entry in fs::read_dir(home).expect("the temporary folder").flatten() {
            if entry.path().is_file() {
                fs::copy(entry.path(), folder.join(entry.file_name())).expect("a file to keep");
            }
        }
        let answers = [
            ("plain", plain),
            ("sops.out", &theirs.stdout),
            ("sops.err", &theirs.stderr),
            ("ours.out", &ours.stdout),
            ("ours.err", &ours.stderr),
        ];
        for (name, bytes) in answers {
            fs::write(folder.join(name), bytes).expect("a file to keep");
        }
        folder
    }
}

/// A plaintext in the scenario's format.
fn plaintext(author: &mut Author<'_>, rich: bool) -> Vec<u8> {
    match author.scenario.format {
        Format::Yaml => yaml::write(author, rich).into_bytes(),
        Format::Json => flat::json(author, rich).into_bytes(),
        Format::Dotenv => flat::dotenv(author, rich).into_bytes(),
        Format::Ini => flat::ini(author, rich).into_bytes(),
        Format::Binary => flat::binary(author),
    }
}

fn decrypt(program: &Path, scenario: &Scenario, file: &Path, keys: &Path) -> Outcome {
    let mut arguments = vec!["decrypt".to_owned()];
    arguments.extend(scenario.options());
    arguments.push(file.display().to_string());
    let folder = file.parent().expect("the file lies in the temporary folder");
    run(program, &arguments, folder, &[("SOPS_AGE_KEY_FILE".to_owned(), keys.display().to_string())])
}

/// How the two answers differ, if they do. The exit codes of refusals are ours; a crash is never right.
fn difference(theirs: &Outcome, ours: &Outcome) -> Option<String> {
    // Lines in brackets are sops' own log.
    let why = |outcome: &Outcome| {
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty() && !line.starts_with('[')).take(3).collect();
        lines.join(" | ").chars().take(240).collect::<String>()
    };
    match (theirs.done(), ours.done()) {
        (true, true) if theirs.stdout == ours.stdout => None,
        (true, true) => Some("the bytes differ".to_owned()),
        (true, false) => Some(format!("sops decrypts, we exit {:?}: {}", ours.code, why(ours))),
        (false, true) => Some(format!("we decrypt, sops exits {:?}: {}", theirs.code, why(theirs))),
        (false, false) if !ours.stdout.is_empty() => Some("we refuse, but print".to_owned()),
        (false, false) if !matches!(ours.code, Some(1..=69 | 128)) => Some(format!("we crash: {:?}", ours.code)),
        (false, false) => None,
    }
}

fn reproduce(folder: &Path, scenario: &Scenario) -> String {
    let folder = folder.display();
    let file = format!("{folder}/encrypted.{}", scenario.format.extension());
    format!("SOPS_AGE_KEY_FILE={folder}/identities.txt sops decrypt {} {file}", scenario.options().join(" "))
}

/// The counts of a run.
#[derive(Default)]
struct Summary {
    table: Table,
    documents: usize,
    mutated: usize,
    same: usize,
    /// Refused by both, by the exit code of sops: changed ones, and unchanged ones.
    refused_changed: BTreeMap<Option<i32>, usize>,
    refused_unchanged: BTreeMap<Option<i32>, usize>,
    /// Accepted and refused by both, per change.
    changes: BTreeMap<&'static str, (usize, usize)>,
    refused_encryption: usize,
    not_encrypted: usize,
    mismatches: Vec<String>,
}

impl Summary {
    fn count(&mut self, compared: Compared) {
        self.refused_encryption += compared.refused;
        if matches!(compared.verdict, Verdict::NotEncrypted) {
            self.not_encrypted += 1;
            return;
        }
        self.documents += 1;
        let unchanged = compared.mutations.is_empty();
        self.mutated += usize::from(!unchanged);
        let accepted = matches!(compared.verdict, Verdict::Same);
        for change in compared.mutations {
            let counts = self.changes.entry(change).or_default();
            *(if accepted { &mut counts.0 } else { &mut counts.1 }) += 1;
        }
        match compared.verdict {
            Verdict::NotEncrypted => {}
            Verdict::Same => {
                self.same += 1;
                if let Some(scenario) = compared.scenario.filter(|_| unchanged) {
                    self.table.count(&scenario, &compared.rows);
                }
            }
            Verdict::BothRefuse(code) => {
                let refused = if unchanged { &mut self.refused_unchanged } else { &mut self.refused_changed };
                *refused.entry(code).or_default() += 1;
            }
            Verdict::Mismatch(what) => self.mismatches.push(what),
        }
    }

    fn print(&self) -> String {
        let codes = |refused: &BTreeMap<Option<i32>, usize>| {
            let each = refused.iter().map(|(code, count)| {
                format!("{count} with sops' exit {}", code.map_or("?".to_owned(), |code| code.to_string()))
            });
            format!("{} ({})", refused.values().sum::<usize>(), each.collect::<Vec<_>>().join(", "))
        };
        let mut lines = vec!["Changes (both accept / both refuse):".to_owned()];
        lines.extend(
            self.changes.iter().map(|(change, (accepted, refused))| format!("  {change:24} {accepted:4} / {refused}")),
        );
        lines.push(format!(
            "Not compared: {} plaintexts that sops refuses to encrypt; {} documents given up for that",
            self.refused_encryption, self.not_encrypted
        ));
        lines.push(format!("Same bytes: {}", self.same));
        lines.push(format!("Refused by both, changed: {}", codes(&self.refused_changed)));
        lines.push(format!("Refused by both, as sops encrypted it: {}", codes(&self.refused_unchanged)));
        lines.push(format!(
            "differential: {} documents, {} mutated, {} mismatches",
            self.documents,
            self.mutated,
            self.mismatches.len()
        ));
        lines.join("\n")
    }
}
