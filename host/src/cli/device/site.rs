//! Where the devices and the authority are that a command is about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::failure::{Failure, Outcome};
use crate::cli::files;
use crate::config::HostConfig;
use crate::devices::{Authority, AuthorityError, ClassConfig, DeviceFile, Rules};
use crate::names::PartyName;

/// Bytes of a file that a command is given: a request, a list of filters.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Which host's devices a command is about.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Site options")]
pub(in crate::cli) struct SiteOptions {
    /// The host's configuration, which says where its data are and what classes of
    /// devices there are.
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
    /// Where the host keeps its data, instead of where its configuration says.
    /// Without either, /var/lib/selvedge.
    #[arg(long, value_name = "DIRECTORY")]
    data_directory: Option<PathBuf>,
}

/// A host's data directory, and its configuration.
#[derive(Debug)]
pub(in crate::cli) struct Site {
    pub(in crate::cli) data_directory: PathBuf,
    pub(in crate::cli) config: HostConfig,
    /// Whether somebody said which configuration it is.
    is_configured: bool,
}

impl SiteOptions {
    pub(in crate::cli) fn open(&self) -> Outcome<Site> {
        let config = match &self.host_config {
            Some(path) => {
                let read = files::host_config(path);
                read.map_err(|faults| Failure::config(&faults))?
            }
            None => HostConfig::default(),
        };
        let directory = self.data_directory.as_ref();
        Ok(Site {
            data_directory: directory.unwrap_or(&config.data_directory).clone(),
            config,
            is_configured: self.host_config.is_some(),
        })
    }
}

impl Site {
    pub(in crate::cli) fn authority(&self) -> Outcome<Authority> {
        Authority::open(&self.data_directory).map_err(|error| match error {
            AuthorityError::NotThere(_) => Failure::new(
                error,
                Some("`selvedge ca init` makes one; is it the right `--data-directory`?".into()),
            ),
            error => error.into(),
        })
    }

    /// What holds for devices of this site.
    pub(super) fn rules(&self) -> Rules {
        let broker = self.config.broker.clone();
        let rules = |broker: crate::broker::config::BrokerConfig| Rules {
            classes: broker.classes,
            quota: broker.quota,
        };
        broker.map(rules).unwrap_or_default()
    }

    /// The same; where nobody said which configuration counts, any class that is
    /// named may be, and grants nothing that could be shown.
    pub(super) fn rules_to_show(&self, names: &[PartyName]) -> Rules {
        let mut rules = self.rules();
        if !self.is_configured {
            let file = |name| DeviceFile::load(&self.data_directory, name).ok().flatten();
            let classes = names.iter().filter_map(|name| file(name)?.class);
            let classes = classes.map(|class| (class, ClassConfig::default()));
            let classes: BTreeMap<_, _> = classes.collect();
            rules.classes.extend(classes);
        }
        rules
    }

    /// The same, for one device.
    pub(super) fn rules_to_show_with(&self, file: &DeviceFile) -> Rules {
        let mut rules = self.rules();
        if let Some(class) = &file.class
            && !self.is_configured
        {
            rules.classes.entry(class.clone()).or_default();
        }
        rules
    }

    /// Fails if there is no such class, as far as is known.
    pub(super) fn check_class(&self, class: &str) -> Outcome<()> {
        let known = self.rules().classes;
        if known.contains_key(class) {
            return Ok(());
        }
        if !self.is_configured {
            files::complain(&format_args!(
                "warning: whether there is a class `{class}` is not known without `--host-config`"
            ));
            return Ok(());
        }
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        let help = match names.as_slice() {
            [] => "`[broker.classes]` of the host's configuration defines none".to_owned(),
            names => format!("there are {}", names.join(", ")),
        };
        let what = format!("there is no class `{class}`");
        Err(Failure::new(what, Some(help)))
    }

    /// The file of a device that has one.
    pub(super) fn device(&self, name: &PartyName) -> Outcome<DeviceFile> {
        let path = DeviceFile::path(&self.data_directory, name);
        let file = DeviceFile::load(&self.data_directory, name);
        let file = file.map_err(|error| Failure::about(&path, error))?;
        file.ok_or_else(|| {
            Failure::new(
                format!("there is no device `{name}`"),
                Some("`selvedge device list` lists them".to_owned()),
            )
        })
    }
}

/// The text of a file that a command is given.
pub(super) fn text(path: &Path) -> Outcome<String> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let what = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(Failure::about(path, what));
    }
    String::from_utf8(bytes).map_err(|error| Failure::about(path, error))
}
