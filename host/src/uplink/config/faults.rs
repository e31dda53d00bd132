//! What no type can say by itself of an uplink's configuration.

use crate::names::TopicFilter;
use crate::uplink::mapping::{Rules, Template};

use super::{Direction, PRIORITIES, Protocol, RuleConfig, TargetLimits, UplinkConfig};

/// The field, seen from the uplink's table, and what is wrong with it.
type Fault = (String, String);

impl UplinkConfig {
    /// Everything that is wrong with it.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, text: String| faults.push((field.to_owned(), text));
        if self.address().is_none() {
            let text = format!("`{}` is not `host` or `host:port`", self.endpoint);
            fault("endpoint", text);
        }
        self.tls_faults(&mut fault);
        let limits = self.limits.within(self.profile);
        for (name, highest) in self.limits.beyond(self.profile) {
            let text = format!("the target takes 1 to {highest}");
            fault(&format!("limits.{name}"), text);
        }
        let (lowest, highest) = limits.keep_alive_s;
        if !(lowest..=highest).contains(&self.keep_alive_s.get()) {
            fault(
                "keep_alive_s",
                format!("the target takes {lowest} to {highest}"),
            );
        }
        let bytes_max = limits.client_id_bytes_max;
        let id_fits =
            |id: &String| (1..=bytes_max).contains(&id.len()) && !id.contains(char::is_control);
        if self.client_id.as_ref().is_some_and(|id| !id_fits(id)) {
            fault(
                "client_id",
                format!("the target takes 1 to {bytes_max} bytes"),
            );
        }
        for (priority, share) in &self.queue.shares {
            let known = priority.parse::<u8>().is_ok_and(|one| one < PRIORITIES);
            if !known || !(1..=100).contains(share) {
                let text = "expected a priority of 0 to 7 and 1 to 100 percent".to_owned();
                fault("queue.shares", text);
            }
        }
        if self.times.reconnect_ms_min > self.times.reconnect_ms_max {
            let text = "it is above `reconnect_ms_max`".to_owned();
            fault("times.reconnect_ms_min", text);
        }
        for (index, rule) in self.rules.iter().enumerate() {
            for (field, text) in rule.faults(&limits) {
                fault(&format!("rules[{index}].{field}"), text);
            }
        }
        if faults.is_empty() {
            self.rules_faults(&mut faults);
        }
        faults
    }

    fn tls_faults(&self, fault: &mut impl FnMut(&str, String)) {
        let host = self.address().map_or("", |(host, _)| host);
        let address: Option<std::net::IpAddr> = host.parse().ok();
        let loopback = host == "localhost" || address.is_some_and(|ip| ip.is_loopback());
        if self.plain && !loopback {
            let text = "without TLS only a loopback address is reached";
            fault("plain", text.to_owned());
        }
        if !self.plain && self.ca.is_none() {
            let text = "`ca` is missing: nobody would vouch for the target";
            fault("endpoint", text.to_owned());
        }
        if self.certificate.is_some() != self.key.is_some() {
            let text = "`certificate` and `key` go together";
            let field = if self.key.is_some() {
                "key"
            } else {
                "certificate"
            };
            fault(field, text.to_owned());
        }
        if self
            .alpn
            .iter()
            .any(|name| !(1..=255).contains(&name.len()))
        {
            fault("alpn", "a protocol's name has 1 to 255 bytes".to_owned());
        }
        if self.password_file.is_some()
            && self.username.is_none()
            && self.protocol == Protocol::V311
        {
            let text = "MQTT 3.1.1 has no password without a user name";
            fault("password_file", text.to_owned());
        }
    }

    /// What only the rules together show.
    fn rules_faults(&self, faults: &mut Vec<Fault>) {
        // The client's name is filled in later and changes no wildcards.
        let rules = Rules::new(&self.rules, "client");
        let limits = self.limits.within(self.profile);
        let subscriptions = rules.subscriptions().len();
        if subscriptions > limits.subscriptions_max as usize {
            let text = format!("the target takes {} filters", limits.subscriptions_max);
            faults.push(("rules".to_owned(), text));
        }
        if self.protocol != Protocol::V311 {
            return;
        }
        // Nothing in 3.1.1 tells what comes back from what is new.
        for incoming in rules.subscriptions() {
            let back = |out: &TopicFilter| out.overlaps(&incoming);
            if let Some(out) = rules.targets_out().iter().find(|out| back(out)) {
                let text = format!(
                    "what goes out to `{out}` would come back by `{incoming}`: that takes `protocol = \"5\"`"
                );
                faults.push(("rules".to_owned(), text));
            }
        }
    }
}

impl RuleConfig {
    fn faults(&self, limits: &TargetLimits) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut fault = |field, text: &str| faults.push((field, text.to_owned()));
        if self.priority >= PRIORITIES {
            fault("priority", "expected 0 to 7");
        }
        if self.filter.group().is_some() && self.direction == Direction::Both {
            fault("filter", "a shared filter leads one way");
        }
        let whole = |text: &Option<String>| text.as_ref().is_none_or(|text| text.ends_with('/'));
        if !whole(&self.prefix) {
            fault("prefix", "it does not end with `/`");
        }
        let begins = |strip: &String| self.filter.filter().starts_with(strip.as_str());
        let remains = |strip: &String| self.filter.filter().len() > strip.len();
        if !whole(&self.strip) {
            fault("strip", "it does not end with `/`");
        } else if self
            .strip
            .as_ref()
            .is_some_and(|strip| !begins(strip) || !remains(strip))
        {
            fault("strip", "the filter does not go on from it");
        }
        if let Some(to) = &self.to {
            if self.prefix.is_some() || self.strip.is_some() {
                fault("to", "it goes neither with `prefix` nor with `strip`");
            }
            if self.direction == Direction::Both {
                fault("to", "a rule that leads both ways has `prefix` and `strip`");
            }
            if let Err(text) = Template::parse(to, &self.filter) {
                faults.push(("to", text));
            }
        }
        if faults.is_empty() {
            faults.extend(self.target_faults());
            faults.extend(self.subscription_faults(limits));
        }
        faults
    }

    /// A target may hang up on a filter beyond its limits, on each connection.
    fn subscription_faults(&self, limits: &TargetLimits) -> Option<(&'static str, String)> {
        let rules = Rules::new(std::slice::from_ref(self), "client");
        let (bytes_max, levels_max) = (limits.topic_bytes_max, limits.topic_levels_max);
        let beyond = |filter: &TopicFilter| {
            filter.filter().len() > bytes_max as usize
                || filter.levels().count() > levels_max as usize
        };
        let filter = rules.subscriptions().into_iter().find(beyond)?;
        let text = format!(
            "`{filter}` is subscribed there, and the target takes {bytes_max} bytes and {levels_max} levels"
        );
        Some(("filter", text))
    }

    fn target_faults(&self) -> Option<(&'static str, String)> {
        let rules = Rules::new(std::slice::from_ref(self), "client");
        if rules.is_whole() {
            let local = rules.targets_in();
            let system = local.iter().find(|to| to.filter().starts_with('$'))?;
            let text = format!("it leads to `{system}`, and `$` topics of this bus are the host's");
            return Some(("filter", text));
        }
        Some((
            "filter",
            "the topic on the other side would be none".to_owned(),
        ))
    }
}
