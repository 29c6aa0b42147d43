//! Launches and their executions, by correlation id.

use serde_json::json;

use super::{Decoded, Event};

/// An arrow from a launch to an execution of its process.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrow {
    /// Process, track and moment of the launch.
    pub start: (String, String, i128),
    /// The same of the execution; no earlier than the launch.
    pub end: (String, String, i128),
}

/// True for the two sides of one launch.
fn belong_together(a: &Event, b: &Event) -> bool {
    a.correlation != 0 && a.correlation == b.correlation && a.identity == b.identity
}

/// Marks launches that nothing is known of what the device did, and draws an arrow to every execution from the first launch
/// with its id.
pub fn pair(decoded: &mut Decoded) {
    let (launches, others): (Vec<Event>, Vec<Event>) =
        (decoded.events.iter().cloned()).partition(|event| event.kind == "launch");
    let is_on_device = |event: &&Event| matches!(event.kind, "device span" | "device task");
    let on_devices: Vec<&Event> = others.iter().filter(is_on_device).collect();
    for launch in decoded
        .events
        .iter_mut()
        .filter(|event| event.kind == "launch")
    {
        if !on_devices
            .iter()
            .any(|other| belong_together(launch, other))
        {
            launch
                .args
                .insert("device_time".to_owned(), json!("unavailable"));
        }
    }
    for execution in on_devices
        .iter()
        .filter(|event| event.kind == "device span")
    {
        let of_it = launches
            .iter()
            .filter(|launch| belong_together(launch, execution));
        // Of launches that begin at once the one that was read first.
        let Some(launch) = of_it.min_by_key(|launch| launch.start_ns) else {
            continue;
        };
        let place = |event: &Event, ns| (event.process.clone(), event.track.clone(), ns);
        decoded.arrows.push(Arrow {
            start: place(launch, launch.start_ns),
            end: place(execution, execution.start_ns.max(launch.start_ns)),
        });
    }
}
