//! The registry that the user's package client would ask, read from the client's own configuration.

use std::path::{Path, PathBuf};

use url::Url;

use super::pin::Registry;

/// npm's and Python's public registries: what both clients ask unless they are told otherwise.
const NPM: &str = "https://registry.npmjs.org/";
const PYPI: &str = "https://pypi.org/simple/";

/// Where settings come from, so that a test can put others in place of the machine's.
pub(super) struct Sources<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) file: &'a dyn Fn(&Path) -> Option<String>,
}

impl Sources<'static> {
    pub(super) fn of_this_machine() -> Self {
        Self {
            variable: &|name| std::env::var(name).ok().filter(|value| !value.is_empty()),
            file: &|path| std::fs::read_to_string(path).ok(),
        }
    }
}

impl Sources<'_> {
    /// The registry's address, ending with a slash. `package` may have a registry of its own.
    pub(super) fn address(&self, registry: Registry, package: &str) -> Result<Url, String> {
        let configured = match registry {
            Registry::Npm => self.npm(package).unwrap_or_else(|| NPM.to_owned()),
            Registry::Pypi => self.pypi().unwrap_or_else(|| PYPI.to_owned()),
        };
        let slash = if configured.ends_with('/') { "" } else { "/" };
        Url::parse(&format!("{configured}{slash}"))
            .map_err(|error| format!("the registry's address in the package client's configuration is no URL: {error}"))
    }

    /// The scope's registry before the general one; for each the environment before the files, the nearest file first.
    fn npm(&self, package: &str) -> Option<String> {
        let home = (self.variable)("HOME").map(PathBuf::from);
        let user = (self.variable)("npm_config_userconfig").or_else(|| (self.variable)("NPM_CONFIG_USERCONFIG"));
        let user = user.map(PathBuf::from).or_else(|| Some(home?.join(".npmrc")));
        let global = (self.variable)("npm_config_globalconfig").or_else(|| (self.variable)("NPM_CONFIG_GLOBALCONFIG"));
        let global = global.map_or_else(
            || vec!["/usr/local/etc/npmrc".into(), "/usr/etc/npmrc".into(), "/etc/npmrc".into()],
            |path| vec![PathBuf::from(path)],
        );
        let files: Vec<String> =
            std::iter::once(".npmrc".into()).chain(user).chain(global).filter_map(|path| (self.file)(&path)).collect();
        let in_files = |key: &str| files.iter().find_map(|text| self.expand(value(text, None, key)?));
        let scope = package.split_once('/').map(|(scope, _)| format!("{scope}:registry"));
        scope
            .and_then(|key| (self.variable)(&format!("npm_config_{key}")).or_else(|| in_files(&key)))
            .or_else(|| (self.variable)("npm_config_registry"))
            .or_else(|| (self.variable)("NPM_CONFIG_REGISTRY"))
            .or_else(|| in_files("registry"))
    }

    fn pypi(&self) -> Option<String> {
        let home = (self.variable)("HOME").map(PathBuf::from);
        let within = |path: &str| Some(home.clone()?.join(path));
        let config_home = (self.variable)("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| within(".config"));
        let files = [
            (self.variable)("PIP_CONFIG_FILE").map(PathBuf::from),
            (self.variable)("VIRTUAL_ENV").map(|path| PathBuf::from(path).join("pip.conf")),
            config_home.map(|path| path.join("pip/pip.conf")),
            within("Library/Application Support/pip/pip.conf"),
            within(".pip/pip.conf"),
            Some("/etc/xdg/pip/pip.conf".into()),
            Some("/etc/pip.conf".into()),
        ];
        let files: Vec<String> = files.into_iter().flatten().filter_map(|path| (self.file)(&path)).collect();
        let in_files = |section: &str| {
            files.iter().find_map(|text| {
                value(text, Some(section), "index-url").or_else(|| value(text, Some(section), "index_url"))
            })
        };
        (self.variable)("PIP_INDEX_URL")
            .or_else(|| in_files("download").or_else(|| in_files("global")).map(str::to_owned))
    }

    /// Replaces `${NAME}`, as npm does in its files. A name that is not set makes the value useless.
    fn expand(&self, value: &str) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = value;
        while let Some((before, behind)) = rest.split_once("${") {
            let (name, after) = behind.split_once('}')?;
            expanded.push_str(before);
            expanded.push_str(&(self.variable)(name)?);
            rest = after;
        }
        Some(expanded + rest)
    }
}

/// The value of a key in an INI file: in a section, or before the first one.
fn value<'t>(text: &'t str, section: Option<&str>, key: &str) -> Option<&'t str> {
    let mut current = None;
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = Some(name.trim());
        } else if let Some((name, value)) = line.split_once('=')
            && current == section
            && name.trim() == key
        {
            found = Some(value.trim().trim_matches(['"', '\'']));
        }
    }
    found.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(registry: Registry, package: &str, variables: &[(&str, &str)], files: &[(&str, &str)]) -> String {
        let find = |set: &[(&str, &str)], name: &str| {
            set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
        };
        let sources =
            Sources { variable: &|name| find(variables, name), file: &|path| find(files, &path.display().to_string()) };
        sources.address(registry, package).expect("a URL").to_string()
    }

    #[test]
    fn npms_registry_is_the_one_that_npm_would_ask() {
        let npm =
            |variables: &[(&str, &str)], files: &[(&str, &str)]| address(Registry::Npm, "@chdb/lib", variables, files);
        assert_eq!(npm(&[], &[]), NPM);
        assert_eq!(
            npm(&[("npm_config_registry", "https://a.example/npm")], &[(".npmrc", "registry=https://b.example")]),
            "https://a.example/npm/"
        );
        let user = [("/h/.npmrc", "; mine\nregistry = \"https://${HOST}/x/\"\n")];
        assert_eq!(npm(&[("HOME", "/h"), ("HOST", "b.example")], &user), "https://b.example/x/");
        assert_eq!(npm(&[("HOME", "/h")], &user), NPM, "a variable that is not set");
        let scoped = [(".npmrc", "registry=https://b.example/\n@chdb:registry=https://c.example/\n")];
        assert_eq!(npm(&[("npm_config_registry", "https://a.example")], &scoped), "https://c.example/");
    }

    #[test]
    fn pips_index_is_the_one_that_pip_would_ask() {
        let pip = |variables: &[(&str, &str)], files: &[(&str, &str)]| address(Registry::Pypi, "x", variables, files);
        assert_eq!(pip(&[], &[]), PYPI);
        let conf = (
            "/etc/pip.conf",
            "[install]\nindex-url = https://no.example/\n[global]\ncert = x\nindex-url = https://a.example/simple\n",
        );
        assert_eq!(pip(&[], &[conf]), "https://a.example/simple/");
        assert_eq!(
            pip(&[("HOME", "/h")], &[conf, ("/h/.config/pip/pip.conf", "[download]\nindex_url=https://b.example/")]),
            "https://b.example/"
        );
        assert_eq!(pip(&[("PIP_INDEX_URL", "https://c.example/s/")], &[conf]), "https://c.example/s/");
    }
}
