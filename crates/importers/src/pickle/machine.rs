//! The machine that a pickle is written for, without the instructions that do anything.

use std::mem;

use super::{Limits, Object, Pickle, PickleError, Reason, Value};

/// Runs the whole file. What it builds is flat, so that no nesting of a file becomes nesting of calls here.
pub(super) fn run<'a>(
    bytes: &'a [u8],
    classes: &[(&str, &str)],
    limits: Limits,
) -> Result<Pickle<'a>, PickleError> {
    let mut machine = Machine {
        bytes,
        position: 0,
        classes,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        objects: Vec::new(),
        left: limits.memory,
    };
    let mut at = 0;
    loop {
        match machine.step() {
            Ok(None) => at = machine.position,
            Ok(Some(root)) => {
                return Ok(Pickle {
                    objects: machine.objects,
                    root,
                });
            }
            Err(reason) => return Err(PickleError { offset: at, reason }),
        }
    }
}

struct Machine<'a, 'c> {
    bytes: &'a [u8],
    position: usize,
    classes: &'c [(&'c str, &'c str)],
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: Vec<Option<Value<'a>>>,
    objects: Vec<Object<'a>>,
    /// Bytes of memory that may still be taken.
    left: u64,
}

const VALUE: u64 = mem::size_of::<Option<Value<'static>>>() as u64;
const OBJECT: u64 = mem::size_of::<Object<'static>>() as u64;

type Step<T> = Result<T, Reason>;

impl<'a> Machine<'a, '_> {
    /// One instruction; the value of the whole at the last one.
    fn step(&mut self) -> Step<Option<Value<'a>>> {
        let first = self.position == 0;
        let opcode = self.byte()?;
        if first != (opcode == 0x80) {
            return Err(Reason::Malformed(if first {
                "it does not begin like one of protocol 2 to 5"
            } else {
                "it begins twice"
            }));
        }
        match opcode {
            0x80 => match self.byte()? {
                2..=5 => {}
                _ => return Err(Reason::Malformed("its protocol is none of 2 to 5")),
            },
            // FRAME: how much may be read ahead; we have it all.
            0x95 => {
                let length = self.length8()?;
                if length > self.bytes.len() - self.position {
                    return Err(Reason::Truncated);
                }
            }
            b'.' => return self.stop().map(Some),
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => {
                let number = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(i64::from(number)))?;
            }
            b'K' => {
                let number = self.byte()?;
                self.push(Value::Int(i64::from(number)))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(i64::from(number)))?;
            }
            0x8a => {
                let length = usize::from(self.byte()?);
                self.long(length)?;
            }
            0x8b => {
                let length = self.length4()?;
                self.long(length)?;
            }
            b'G' => {
                let number = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(number))?;
            }
            0x8c => {
                let length = usize::from(self.byte()?);
                self.text(length)?;
            }
            b'X' => {
                let length = self.length4()?;
                self.text(length)?;
            }
            0x8d => {
                let length = self.length8()?;
                self.text(length)?;
            }
            b'C' => {
                let length = usize::from(self.byte()?);
                self.raw(length)?;
            }
            b'B' => {
                let length = self.length4()?;
                self.raw(length)?;
            }
            0x8e | 0x96 => {
                let length = self.length8()?;
                self.raw(length)?;
            }
            b']' => self.object(Object::List(Vec::new()))?,
            b'}' => self.object(Object::Dict(Vec::new()))?,
            0x8f => self.object(Object::Set(Vec::new()))?,
            b')' => self.object(Object::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.take(VALUE * items.len() as u64)?;
                self.object(Object::Tuple(items))?;
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.take(VALUE * items.len() as u64)?;
                self.object(Object::Tuple(items))?;
            }
            0x91 => {
                let items = self.pop_to_mark()?;
                self.take(VALUE * items.len() as u64)?;
                self.object(Object::Set(items))?;
            }
            b'(' => {
                self.take(8)?;
                self.marks.push(self.stack.len());
            }
            b'1' => drop(self.pop_to_mark()?),
            b'0' => drop(self.pop()?),
            b'2' => {
                let top = self.top()?;
                self.push(top)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend(items)?;
            }
            0x90 => {
                let items = self.pop_to_mark()?;
                self.add(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(&items)?;
            }
            0x94 => {
                let top = self.top()?;
                self.take(VALUE)?;
                self.memo.push(Some(top));
            }
            b'q' => {
                let index = usize::from(self.byte()?);
                self.put(index)?;
            }
            b'r' => {
                let index = self.length4()?;
                self.put(index)?;
            }
            b'h' => {
                let index = usize::from(self.byte()?);
                self.get(index)?;
            }
            b'j' => {
                let index = self.length4()?;
                self.get(index)?;
            }
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.class(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err(Reason::Refused("a class whose name is no text".to_owned()));
                };
                self.class(module, name)?;
            }
            // NEWOBJ and REDUCE: a class of the list and what it would be made from. Neither is done.
            0x81 | b'R' => self.instance()?,
            b'b' => self.build()?,
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                return Err(Reason::Refused(format!("{} (INST)", name_of(module, name))));
            }
            other => return Err(refuse(other)),
        }
        Ok(None)
    }

    fn stop(&mut self) -> Step<Value<'a>> {
        let root = self.pop()?;
        if !self.stack.is_empty() || !self.marks.is_empty() {
            return Err(Reason::Malformed("something is left over at its end"));
        }
        if self.position != self.bytes.len() {
            return Err(Reason::Malformed("bytes follow its end"));
        }
        Ok(root)
    }

    fn take(&mut self, bytes: u64) -> Step<()> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or(Reason::TooLarge("it takes too much memory"))?;
        Ok(())
    }

    fn slice(&mut self, length: usize) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        let slice = rest.get(..length).ok_or(Reason::Truncated)?;
        self.position += length;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let slice = self.slice(N)?;
        slice.try_into().map_err(|_| Reason::Truncated)
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn length4(&mut self) -> Step<usize> {
        let length = u32::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| Reason::Truncated)
    }

    fn length8(&mut self) -> Step<usize> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| Reason::Truncated)
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.position..];
        let end = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(Reason::Truncated)?;
        self.position += end + 1;
        str::from_utf8(&rest[..end]).map_err(|_| Reason::Malformed("a name in it is no text"))
    }

    fn push(&mut self, value: Value<'a>) -> Step<()> {
        self.take(VALUE)?;
        self.stack.push(value);
        Ok(())
    }

    /// Where the innermost mark leaves off: nothing is taken from below it.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Step<Value<'a>> {
        if self.stack.len() <= self.floor() {
            return Err(Reason::Malformed("it takes a value that is not there"));
        }
        self.left += VALUE;
        self.stack
            .pop()
            .ok_or(Reason::Malformed("it takes a value that is not there"))
    }

    fn pop_many(&mut self, count: usize) -> Step<Vec<Value<'a>>> {
        if self.stack.len() < self.floor() + count {
            return Err(Reason::Malformed("it takes a value that is not there"));
        }
        self.left += VALUE * count as u64;
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Value<'a>>> {
        let mark = self.marks.pop().ok_or(Reason::Malformed(
            "it goes back to a mark that is not there",
        ))?;
        let items = self.stack.split_off(mark);
        self.left += 8 + VALUE * items.len() as u64;
        Ok(items)
    }

    fn top(&self) -> Step<Value<'a>> {
        match self.stack.last() {
            Some(&value) if self.stack.len() > self.floor() => Ok(value),
            _ => Err(Reason::Malformed("it uses a value that is not there")),
        }
    }

    fn object(&mut self, object: Object<'a>) -> Step<()> {
        self.take(OBJECT)?;
        let index = u32::try_from(self.objects.len())
            .map_err(|_| Reason::TooLarge("it holds too many objects"))?;
        self.objects.push(object);
        self.push(Value::Object(index))
    }

    fn top_object(&mut self) -> Step<&mut Object<'a>> {
        const NONE: Reason = Reason::Malformed("it fills something that cannot be filled");
        match self.top()? {
            Value::Object(index) => self.objects.get_mut(index as usize).ok_or(NONE),
            _ => Err(NONE),
        }
    }

    fn extend(&mut self, items: Vec<Value<'a>>) -> Step<()> {
        self.take(VALUE * items.len() as u64)?;
        match self.top_object()? {
            Object::List(list) => list.extend(items),
            _ => return Err(Reason::Malformed("it appends to something that is no list")),
        }
        Ok(())
    }

    fn add(&mut self, items: Vec<Value<'a>>) -> Step<()> {
        self.take(VALUE * items.len() as u64)?;
        match self.top_object()? {
            Object::Set(set) => set.extend(items),
            _ => return Err(Reason::Malformed("it adds to something that is no set")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Value<'a>]) -> Step<()> {
        self.take(VALUE * items.len() as u64)?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Reason::Malformed("a key in it has no value"));
        }
        match self.top_object()? {
            Object::Dict(entries) => entries.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => {
                return Err(Reason::Malformed(
                    "it sets a key of something that is no dict",
                ));
            }
        }
        Ok(())
    }

    fn put(&mut self, index: usize) -> Step<()> {
        let top = self.top()?;
        if index >= self.memo.len() {
            let more = index + 1 - self.memo.len();
            self.take(VALUE.saturating_mul(more as u64))?;
            self.memo.resize(index + 1, None);
        }
        self.memo[index] = Some(top);
        Ok(())
    }

    fn get(&mut self, index: usize) -> Step<()> {
        let value = self.memo.get(index).copied().flatten();
        self.push(value.ok_or(Reason::Malformed("it recalls what it never kept"))?)
    }

    fn long(&mut self, length: usize) -> Step<()> {
        let digits = self.slice(length)?;
        // Two's complement: what is missing above has the sign's bits.
        let negative = digits.last().is_some_and(|&byte| byte >= 0x80);
        if length > 8 {
            return self.push(Value::Big(digits));
        }
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..length].copy_from_slice(digits);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, length: usize) -> Step<()> {
        let bytes = self.slice(length)?;
        self.push(match str::from_utf8(bytes) {
            Ok(text) => Value::Text(text),
            Err(_) => Value::NotText(bytes),
        })
    }

    fn raw(&mut self, length: usize) -> Step<()> {
        let bytes = self.slice(length)?;
        self.push(Value::Bytes(bytes))
    }

    fn class(&mut self, module: &'a str, name: &'a str) -> Step<()> {
        if !self.classes.contains(&(module, name)) {
            return Err(Reason::Refused(name_of(module, name)));
        }
        self.object(Object::Class { module, name })
    }

    fn instance(&mut self) -> Step<()> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        let (Value::Object(arguments), Value::Object(class)) = (arguments, class) else {
            return Err(Reason::Refused(
                "a call of something that is no class".to_owned(),
            ));
        };
        if !matches!(self.objects.get(class as usize), Some(Object::Class { .. })) {
            return Err(Reason::Refused(
                "a call of something that is no class".to_owned(),
            ));
        }
        if !matches!(self.objects.get(arguments as usize), Some(Object::Tuple(_))) {
            return Err(Reason::Malformed("the arguments of a class are no tuple"));
        }
        self.object(Object::Instance {
            class,
            arguments,
            state: None,
        })
    }

    fn build(&mut self) -> Step<()> {
        let given = self.pop()?;
        match self.top_object()? {
            Object::Instance { state, .. } if state.is_none() => *state = Some(given),
            Object::Instance { .. } => {
                return Err(Reason::Malformed("the state of an instance is set twice"));
            }
            // On anything else, a class for example, this would set attributes of something that lives.
            _ => {
                return Err(Reason::Refused(
                    "the state of something that is no instance".to_owned(),
                ));
            }
        }
        Ok(())
    }
}

/// Module and name as a person writes them, short enough for a message, without control characters.
fn name_of(module: &str, name: &str) -> String {
    let clean = |text: &str| -> String {
        text.chars()
            .filter(|char| !char.is_control())
            .take(80)
            .collect()
    };
    format!("{}.{}", clean(module), clean(name))
}

fn refuse(opcode: u8) -> Reason {
    let what = match opcode {
        b'o' => "an object made by a call (OBJ)",
        0x92 => "an object made by a call (NEWOBJ_EX)",
        b'P' | b'Q' => "an object kept elsewhere (PERSID)",
        0x82..=0x84 => "a class from a registry (EXT)",
        0x97 | 0x98 => "a buffer outside of the file (NEXT_BUFFER)",
        b'I' | b'L' | b'F' | b'S' | b'V' | b'T' | b'U' | b'l' | b'd' | b'p' | b'g' => {
            return Reason::Malformed("it uses instructions of protocol 0 or 1");
        }
        _ => return Reason::Malformed("it uses an instruction that there is not"),
    };
    Reason::Refused(what.to_owned())
}
