//! A plan as lines. Pure.

use crate::cli::operate::outcome::versions;
use crate::cli::output::{Align, Cell, Columns, Paint, Tone, units};
use crate::deployment::document::fault::plain;
use crate::deployment::plan::{Asker, Change, ModelSwap, Plan, PluginChange, Right};

/// What stands before something that changes so.
pub(in crate::cli::operate) fn sign(change: Change) -> &'static str {
    match change {
        Change::Added => "+",
        Change::Replaced => "~",
        Change::Reconfigured => "*",
        Change::Removed => "-",
        Change::Untouched => "=",
    }
}

/// What a change says, as a colour.
pub(in crate::cli::operate) fn change_tone(change: Change) -> Tone {
    match change {
        Change::Added => Tone::Good,
        Change::Replaced | Change::Reconfigured => Tone::Doubtful,
        Change::Removed => Tone::Bad,
        Change::Untouched => Tone::Faint,
    }
}

/// Rights that are wanted and not granted.
pub(super) fn refused(plan: &Plan) -> usize {
    let rights = plan.plugins.iter().flat_map(|plugin| &plugin.widens);
    rights.filter(|right| !right.granted).count()
}

pub(super) fn lines(plan: &Plan, paint: Paint) -> Vec<String> {
    if !plan.changes_anything() && refused(plan) == 0 {
        return vec!["nothing changes".to_owned()];
    }
    // All names are in one column, though rights stand between them.
    let mut table = Columns::new([("", Align::Left); 3]);
    for plugin in &plan.plugins {
        table.row([
            Cell::new(change_tone(plugin.change), sign(plugin.change)),
            plugin.plugin.as_str().into(),
            versions(plugin).into(),
        ]);
    }
    for model in &plan.models {
        let name = format!("model {}", model.model);
        let sign = Cell::new(change_tone(model.change), sign(model.change));
        let swap = model.swap.map_or("", ModelSwap::told);
        table.row([sign, name.into(), swap.into()]);
    }
    let mut heads = table.lines(paint).into_iter();
    let mut lines = Vec::new();
    for plugin in &plan.plugins {
        lines.extend(heads.next());
        lines.extend(details(plugin, paint));
    }
    lines.extend(heads);
    lines.push(String::new());
    lines.push(summary(plan));
    lines
}

/// What differs, and which rights widen.
fn details(plugin: &PluginChange, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    if !plugin.differs.is_empty() {
        let differs: Vec<_> = plugin.differs.iter().map(|part| plain(part)).collect();
        lines.push(format!("     differs: {}", differs.join(", ")));
    }
    lines.extend(plugin.widens.iter().map(|right| widened(right, paint)));
    lines
}

fn widened(right: &Right, paint: Paint) -> String {
    let (mark, granted) = if right.granted {
        ("+", paint.text(Tone::Good, "granted"))
    } else {
        ("!", paint.text(Tone::Bad, "not granted"))
    };
    let asker = match right.by {
        Asker::Component => "the component needs it",
        Asker::Manifest => "its manifest asks for it",
        Asker::Document => "the document grants more",
    };
    let why = right.why.as_deref();
    let why = why.map_or(String::new(), |why| format!(": {}", plain(why)));
    let (kind, what) = (plain(&right.kind), plain(&right.what));
    format!("     {mark} {kind} {what}  {granted}; {asker}{why}")
}

/// `1 added, 2 replaced, 5 untouched; 1 right is refused`.
fn summary(plan: &Plan) -> String {
    let kinds = [
        (Change::Added, "added"),
        (Change::Replaced, "replaced"),
        (Change::Reconfigured, "configured otherwise"),
        (Change::Removed, "removed"),
        (Change::Untouched, "untouched"),
    ];
    let plugins = plan.plugins.iter().map(|plugin| plugin.change);
    let changes: Vec<_> = plugins
        .chain(plan.models.iter().map(|model| model.change))
        .collect();
    let counted = kinds.iter().filter_map(|(kind, word)| {
        let count = changes.iter().filter(|change| *change == kind).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    let counted: Vec<_> = counted.collect();
    let refused = match refused(plan) {
        0 => String::new(),
        1 => "; 1 right is refused".to_owned(),
        many => format!("; {} are refused", units::counted(many, "right")),
    };
    format!("{}{refused}", counted.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{lines, refused};
    use crate::cli::output::Paint;
    use crate::deployment::plan::Plan;

    fn plan(json: serde_json::Value) -> Plan {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_plan_says_what_changes_and_which_rights_it_widens_and_why() {
        let plan = plan(json!({
            "plugins": [
                { "plugin": "detector", "change": "added", "to": "0.3.0", "widens": [
                    { "kind": "model", "what": "oven", "by": "document", "granted": true },
                ] },
                { "plugin": "modbus", "change": "untouched", "from": "0.1.0", "to": "0.1.0" },
                { "plugin": "window", "change": "replaced", "from": "0.1.0", "to": "0.2.0",
                  "differs": ["config.threshold", "limits"], "widens": [
                    { "kind": "publish", "what": "command/#", "by": "manifest",
                      "granted": false, "why": "stops the press" },
                    { "kind": "import", "what": "wasi:sockets/tcp", "by": "component",
                      "granted": false },
                ] },
            ],
            "models": [{ "model": "oven", "change": "replaced" }],
        }));
        let expected = [
            "+  detector    0.3.0",
            "     + model oven  granted; the document grants more",
            "=  modbus      0.1.0",
            "~  window      0.1.0 -> 0.2.0",
            "     differs: config.threshold, limits",
            "     ! publish command/#  not granted; its manifest asks for it: stops the press",
            "     ! import wasi:sockets/tcp  not granted; the component needs it",
            "~  model oven",
            "",
            "1 added, 2 replaced, 1 untouched; 2 rights are refused",
        ];
        assert_eq!(lines(&plan, Paint::plain()), expected);
        assert_eq!(refused(&plan), 2);
    }

    #[test]
    fn a_plan_that_changes_nothing_says_so_in_a_line() {
        let plan = plan(json!({ "plugins": [
            { "plugin": "modbus", "change": "untouched", "from": "0.1.0", "to": "0.1.0" },
        ] }));
        assert_eq!(lines(&plan, Paint::plain()), ["nothing changes"]);
        assert_eq!(refused(&plan), 0);
    }

    #[test]
    fn what_a_manifest_says_stays_on_its_line() {
        let plan = plan(json!({ "plugins": [
            { "plugin": "a", "change": "added", "to": "1\n", "differs": ["\u{1b}[2J"], "widens": [
                { "kind": "x\r", "what": "y\n", "by": "manifest", "granted": true, "why": "\u{9b}" },
            ] },
        ] }));
        let text = lines(&plan, Paint::plain()).join("|");
        assert!(!text.contains(char::is_control), "{text}");
    }
}
