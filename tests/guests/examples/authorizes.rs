//! Lets in who knows the word, and answers the rest as its `mode` says.

use selvedge_plugin::{AuthorizeRequest, Authorizer, Config, Lifecycle, Permission, export};

/// The plugin.
#[derive(Debug)]
pub struct Authorizes {
    mode: String,
}

impl Lifecycle for Authorizes {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or("answers").to_owned();
        Ok(Self { mode })
    }
}

impl Authorizer for Authorizes {
    fn authorize(&mut self, request: &AuthorizeRequest) -> Result<Permission, String> {
        let device = match &request.device {
            Some(device) => device.clone(),
            None => request.username.clone().ok_or("no user name")?,
        };
        let lists = |filter: &str| Some(vec![filter.replace("{device}", &device)]);
        let permission = Permission {
            publish: lists("telemetry/site/{device}/#"),
            subscribe: lists("command/site/{device}/#"),
            valid_s: None,
            device: device.clone(),
        };
        match self.mode.as_str() {
            "spins" => loop {
                std::hint::black_box(());
            },
            "traps" => std::process::abort(),
            "lies" => Ok(Permission {
                device: "Somebody Else/#".to_owned(),
                ..permission
            }),
            "grants-all" => Ok(Permission {
                publish: lists("#"),
                subscribe: lists("#"),
                ..permission
            }),
            "grants-nonsense" => Ok(Permission {
                publish: Some(vec!["a/#/b".to_owned(); 1_000]),
                ..permission
            }),
            "for-a-second" => Ok(Permission {
                valid_s: Some(1),
                ..permission
            }),
            _ if request.password.as_deref() == Some(b"the word") => Ok(permission),
            _ => Err("wrong word".to_owned()),
        }
    }
}

export!(Authorizes: Lifecycle, Authorizer);
