//! How a row lies in memory. Nothing of it is ever stored or sent, so its form is nobody's business: what is read here
//! was written here.

use storage_core::MetadataValue;

/// Seven bits a byte, the lowest first.
pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Bytes behind their length.
pub(super) fn put(bytes: &mut Vec<u8>, slice: &[u8]) {
    put_number(bytes, slice.len() as u64);
    bytes.extend_from_slice(slice);
}

pub(super) fn put_value(bytes: &mut Vec<u8>, value: &MetadataValue) {
    match value {
        MetadataValue::String(text) => {
            bytes.push(b's');
            put(bytes, text.as_bytes());
        }
        MetadataValue::I64(number) => {
            bytes.push(b'i');
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        MetadataValue::F64(number) => {
            bytes.push(b'f');
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        MetadataValue::Bool(value) => bytes.extend_from_slice(&[b'b', u8::from(*value)]),
        MetadataValue::List(values) => {
            bytes.push(b'l');
            put_number(bytes, values.len() as u64);
            for value in values {
                put_value(bytes, value);
            }
        }
    }
}

/// Reads what was put, in the same order. What is not there reads as nothing.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().unwrap_or([0; N])
    }

    pub(super) fn number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array();
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    pub(super) fn name(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or_default()
    }

    pub(super) fn optional_number(&mut self) -> Option<u64> {
        let [there] = self.array();
        (there != 0).then(|| self.number())
    }

    pub(super) fn slice(&mut self) -> &'a [u8] {
        let length = usize::try_from(self.number()).unwrap_or(usize::MAX);
        self.take(length)
    }

    pub(super) fn text(&mut self) -> &'a str {
        std::str::from_utf8(self.slice()).unwrap_or_default()
    }

    pub(super) fn value(&mut self) -> MetadataValue {
        let [kind] = self.array();
        match kind {
            b'i' => MetadataValue::I64(i64::from_le_bytes(self.array())),
            b'f' => MetadataValue::F64(f64::from_le_bytes(self.array())),
            b'b' => MetadataValue::Bool(self.array() != [0]),
            b'l' => {
                let count = self.number();
                MetadataValue::List((0..count).map(|_| self.value()).collect())
            }
            _ => MetadataValue::String(self.text().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_come_back() {
        for shift in 0..64 {
            for number in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put_number(&mut bytes, number);
                let mut reader = Reader(&bytes);
                assert_eq!((reader.number(), reader.0), (number, &[][..]));
            }
        }
    }

    #[test]
    fn values_come_back() {
        use MetadataValue::{Bool, F64, I64, List, String};
        let value = List(vec![
            I64(i64::MIN),
            F64(-0.0),
            Bool(true),
            Bool(false),
            String("ё".repeat(100)),
            List(vec![]),
        ]);
        let mut bytes = Vec::new();
        put_value(&mut bytes, &value);
        let mut reader = Reader(&bytes);
        assert_eq!(format!("{:?}", reader.value()), format!("{value:?}"));
        assert!(reader.0.is_empty());
    }
}
