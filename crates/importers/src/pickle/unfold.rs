//! Is the whole as small as its file makes believe? A few hundred bytes of shared lists unfold to more than any memory.

use super::{Limits, Object, Pickle, Reason, Value};

/// What a walk over a value meets: how much, and how deep.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    size: u64,
    depth: u32,
}

#[derive(Debug, Clone, Copy)]
enum Mark {
    Unseen,
    Open,
    Known(Extent),
}

/// # Errors
/// `TooLarge` for what is too deep or unfolds to too much, `Malformed` for a part that holds itself.
pub(super) fn check(pickle: &Pickle<'_>, limits: Limits) -> Result<(), Reason> {
    let Value::Object(root) = pickle.root else {
        return Ok(());
    };
    let mut marks = vec![Mark::Unseen; pickle.objects.len()];
    // A stack of its own: how deep a file nests must not decide how deep we do.
    let mut open = vec![Step::at(root)];
    marks[root as usize] = Mark::Open;
    while let Some(step) = open.last_mut() {
        let object = &pickle.objects[step.object as usize];
        let Some(child) = child(object, step.next) else {
            let (object, extent) = (step.object, step.extent);
            marks[object as usize] = Mark::Known(extent);
            open.pop();
            if let Some(parent) = open.last_mut() {
                parent.add(extent, limits)?;
            }
            continue;
        };
        step.next += 1;
        match child {
            Value::Object(index) => match marks[index as usize] {
                Mark::Known(extent) => step.add(extent, limits)?,
                Mark::Open => return Err(Reason::Malformed("a part of it holds itself")),
                Mark::Unseen => {
                    marks[index as usize] = Mark::Open;
                    open.push(Step::at(index));
                    if open.len() > limits.depth as usize {
                        return Err(Reason::TooLarge("it nests too deep"));
                    }
                }
            },
            plain => step.add(
                Extent {
                    size: 1 + weight(plain),
                    depth: 0,
                },
                limits,
            )?,
        }
    }
    Ok(())
}

/// An object on the way down, and which of its parts comes next.
struct Step {
    object: u32,
    next: usize,
    extent: Extent,
}

impl Step {
    fn at(object: u32) -> Self {
        Self {
            object,
            next: 0,
            extent: Extent { size: 1, depth: 1 },
        }
    }

    fn add(&mut self, part: Extent, limits: Limits) -> Result<(), Reason> {
        self.extent.size = self.extent.size.saturating_add(part.size);
        self.extent.depth = self.extent.depth.max(part.depth + 1);
        if self.extent.size > limits.unfolded {
            return Err(Reason::TooLarge("its shared parts unfold to too much"));
        }
        if self.extent.depth > limits.depth {
            return Err(Reason::TooLarge("it nests too deep"));
        }
        Ok(())
    }
}

fn weight(value: Value<'_>) -> u64 {
    match value {
        Value::Text(text) => text.len() as u64,
        Value::Big(bytes) | Value::NotText(bytes) | Value::Bytes(bytes) => bytes.len() as u64,
        _ => 0,
    }
}

fn child<'a>(object: &Object<'a>, position: usize) -> Option<Value<'a>> {
    match object {
        Object::List(items) | Object::Tuple(items) | Object::Set(items) => {
            items.get(position).copied()
        }
        Object::Dict(entries) => {
            let &(key, value) = entries.get(position / 2)?;
            Some(if position.is_multiple_of(2) {
                key
            } else {
                value
            })
        }
        Object::Class { .. } => None,
        Object::Instance {
            class,
            arguments,
            state,
        } => match position {
            0 => Some(Value::Object(*class)),
            1 => Some(Value::Object(*arguments)),
            2 => *state,
            _ => None,
        },
    }
}
