//! What a pickle holds, and a way to walk it.

/// One value. Containers stand in the pickle's list of objects, so that shared parts are shared here too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// None.
    None,
    /// True or false.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// A whole number beyond 64 bits: little-endian, two's complement.
    Big(&'a [u8]),
    /// A floating-point number, perhaps not finite.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// A text that is not Unicode: Python lets half of a surrogate pair stand alone.
    NotText(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// The object at this position.
    Object(u32),
}

/// Something that holds values.
#[derive(Debug, Clone, PartialEq)]
pub enum Object<'a> {
    /// A list.
    List(Vec<Value<'a>>),
    /// A tuple.
    Tuple(Vec<Value<'a>>),
    /// A set, or a frozen one, in the order of the file.
    Set(Vec<Value<'a>>),
    /// A dict: of two entries with one key the later one counts.
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// A class of the caller's list itself.
    Class {
        /// Its module.
        module: &'a str,
        /// Its name there.
        name: &'a str,
    },
    /// An instance of a class of the caller's list; nothing of the class was run.
    Instance {
        /// The class: always an [`Object::Class`].
        class: u32,
        /// What it would be made from: always an [`Object::Tuple`].
        arguments: u32,
        /// What its state would be set from.
        state: Option<Value<'a>>,
    },
}

/// A pickle that was read. Walking it ends, and its depth is within the limits it was read with.
#[derive(Debug, Clone, PartialEq)]
pub struct Pickle<'a> {
    pub(super) objects: Vec<Object<'a>>,
    pub(super) root: Value<'a>,
}

impl<'a> Pickle<'a> {
    /// The value that the pickle is.
    #[must_use]
    pub fn root(&self) -> Node<'_, 'a> {
        self.node(self.root)
    }

    /// A value of this pickle, to be walked.
    #[must_use]
    pub fn node(&self, value: Value<'a>) -> Node<'_, 'a> {
        Node {
            pickle: self,
            value,
        }
    }
}

/// A value where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Node<'p, 'a> {
    pickle: &'p Pickle<'a>,
    value: Value<'a>,
}

impl<'p, 'a> Node<'p, 'a> {
    /// The value.
    #[must_use]
    pub fn value(self) -> Value<'a> {
        self.value
    }

    /// The object, if it is one.
    #[must_use]
    pub fn object(self) -> Option<&'p Object<'a>> {
        match self.value {
            Value::Object(index) => self.pickle.objects.get(index as usize),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(self) -> Option<&'a str> {
        match self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a whole one of 64 bits.
    #[must_use]
    pub fn int(self) -> Option<i64> {
        match self.value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// Is it None?
    #[must_use]
    pub fn is_none(self) -> bool {
        matches!(self.value, Value::None)
    }

    /// The parts of a list, a tuple or a set.
    #[must_use]
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = Node<'p, 'a>>> {
        match self.object()? {
            Object::List(items) | Object::Tuple(items) | Object::Set(items) => {
                Some(items.iter().map(move |&value| self.pickle.node(value)))
            }
            _ => None,
        }
    }

    /// The entries of a dict in the order of the file; of two with one key the later one counts.
    #[must_use]
    pub fn entries(self) -> Option<impl ExactSizeIterator<Item = (Node<'p, 'a>, Node<'p, 'a>)>> {
        match self.object()? {
            Object::Dict(entries) => Some(
                entries
                    .iter()
                    .map(move |&(key, value)| (self.pickle.node(key), self.pickle.node(value))),
            ),
            _ => None,
        }
    }

    /// The value of a dict under a text.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Node<'p, 'a>> {
        match self.object()? {
            Object::Dict(entries) => entries
                .iter()
                .rev()
                .find(|(name, _)| matches!(name, Value::Text(text) if *text == key))
                .map(|&(_, value)| self.pickle.node(value)),
            _ => None,
        }
    }

    /// Module and name of the class, if it is an instance.
    #[must_use]
    pub fn class(self) -> Option<(&'a str, &'a str)> {
        let Object::Instance { class, .. } = self.object()? else {
            return None;
        };
        match self.pickle.objects.get(*class as usize)? {
            Object::Class { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// What an instance would be made from.
    #[must_use]
    pub fn arguments(self) -> Option<Node<'p, 'a>> {
        match self.object()? {
            Object::Instance { arguments, .. } => Some(self.pickle.node(Value::Object(*arguments))),
            _ => None,
        }
    }

    /// The state of an instance.
    #[must_use]
    pub fn state(self) -> Option<Node<'p, 'a>> {
        match self.object()? {
            Object::Instance { state, .. } => state.map(|state| self.pickle.node(state)),
            _ => None,
        }
    }
}
