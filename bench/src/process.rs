//! Child processes on one core, and what they have used.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;

/// The core of the target.
pub const TARGET_CORE: &str = "1";
/// The core of everything else.
pub const LOAD_CORE: &str = "0";

/// ClickHouse's engine may have to be fetched first, and Python takes its time.
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// The kernel's unit in /proc/PID/stat, which Linux has fixed at 100 a second for user space.
const TICK_US: u64 = 10_000;
/// Sockets that a run may have open in one process.
const FILES_MAX: u64 = 65_536;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident set, files included.
    pub rss_bytes: u64,
    /// Resident anonymous memory: heap and stacks.
    pub anonymous_bytes: u64,
    /// The most that was ever resident.
    pub peak_bytes: u64,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Microseconds of CPU, by all its threads, in user and kernel mode.
    pub cpu_us: u64,
    /// How often its threads have stopped running, because they waited or were made to.
    pub switches: u64,
}

impl Process {
    /// Starts a program on one core, its output in a file, and waits until it listens.
    pub fn start(core: &str, program: &Command, log: &Path, listens: SocketAddr) -> Result<Self, Error> {
        let output = File::create(log).map_err(Error::io(format!("creating {}", log.display())))?;
        let errors = output.try_clone().map_err(Error::io("a second handle of the log file"))?;
        // The child dies with this process, however it ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "taskset", "-c", core])
            .arg(program.get_program())
            .args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        // Both replace themselves with what they start, so that the child's id is the program's.
        let child = command.spawn().map_err(Error::io("starting setpriv (Debian: util-linux)"))?;
        let mut process = Self { child };
        process.wait_until_it_listens(listens, program.get_program(), log)?;
        Ok(process)
    }

    fn wait_until_it_listens(&mut self, address: SocketAddr, program: &OsStr, log: &Path) -> Result<(), Error> {
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            let ended = self.child.try_wait().map_err(Error::io("the state of a child"))?;
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(Error::Setup(format!(
                    "{} does not listen on {address}: {said}",
                    program.to_string_lossy()
                )));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// What it has used so far.
    pub fn used(&self) -> Result<Used, Error> {
        Ok(Used { cpu_us: cpu_us(&self.read("stat")?)?, switches: self.switches()? })
    }

    fn switches(&self) -> Result<u64, Error> {
        let threads = format!("/proc/{}/task", self.child.id());
        let threads = fs::read_dir(&threads).map_err(Error::io(format!("reading {threads}")))?;
        let of_thread = |path: std::path::PathBuf| {
            // A thread may have ended meanwhile.
            let status = fs::read_to_string(path.join("status")).unwrap_or_default();
            let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
            counts.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>()
        };
        Ok(threads.flatten().map(|thread| of_thread(thread.path())).sum())
    }

    /// What it holds now.
    pub fn memory(&self) -> Result<Memory, Error> {
        let status = self.read("status")?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kib.map(|kib| kib * 1024).ok_or_else(|| Error::Setup(format!("/proc/PID/status tells no {name}")))
        };
        Ok(Memory { rss_bytes: bytes("VmRSS")?, anonymous_bytes: bytes("RssAnon")?, peak_bytes: bytes("VmHWM")? })
    }

    fn read(&self, file: &str) -> Result<String, Error> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).map_err(Error::io(format!("reading {path}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Microseconds of CPU that this process has used so far.
pub fn own_cpu_us() -> Result<u64, Error> {
    cpu_us(&fs::read_to_string("/proc/self/stat").map_err(Error::io("reading /proc/self/stat"))?)
}

fn cpu_us(stat: &str) -> Result<u64, Error> {
    // The name in parentheses may hold anything; what follows is 3 (state) onwards, utime and stime are 14 and 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: Option<Vec<u64>> = fields.split_whitespace().skip(11).take(2).map(|text| text.parse().ok()).collect();
    match ticks.as_deref() {
        Some([user, system]) => Ok((user + system) * TICK_US),
        _ => Err(Error::Setup(format!("/proc/PID/stat cannot be understood: {stat}"))),
    }
}

/// Keeps this process and what it starts from now on off the target's core, and lets them have many sockets.
pub fn leave_the_targets_core() -> Result<(), Error> {
    let files = |max| rustix::process::Rlimit { current: Some(max), maximum: Some(max) };
    let has = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(FILES_MAX);
    // Only root may have more than it was given.
    let set = |max| rustix::process::setrlimit(rustix::process::Resource::Nofile, files(max));
    set(FILES_MAX.max(has))
        .or_else(|_| set(has))
        .map_err(|error| Error::io("the limit of open files")(error.into()))?;
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-cp", LOAD_CORE, &own]).stdout(Stdio::null()).status();
    match pinned.map_err(Error::io("starting taskset (Debian: util-linux)"))?.success() {
        true => Ok(()),
        false => Err(Error::Setup("two cores are needed: one for the target, one for the load".to_owned())),
    }
}
