//! How a vector is written in an index: as it is, or as a code that stands for something near it.

use crate::reading::{Numbers, half};
use storage_core::ImportError;

use super::scanner::Scanner;

/// Centroids that are held at most: 64 MiB of them. With 8 bits and 4096 dimensions they take four.
const MOST_CENTROIDS: u64 = 16 << 20;

/// What the bytes of one vector mean.
#[derive(Debug, Clone)]
pub(super) enum Coding {
    /// Singles.
    Flat,
    Scalar(Scalar),
    Product(Product),
}

impl Coding {
    /// Bytes of one vector.
    pub(super) fn size(&self, dimensions: u32) -> u64 {
        match self {
            Self::Flat => 4 * u64::from(dimensions),
            Self::Scalar(scalar) => scalar.kind.size(dimensions.into()),
            Self::Product(product) => (product.parts * u64::from(product.bits)).div_ceil(8),
        }
    }

    /// What is lost, in words; `None` where nothing is.
    pub(super) fn lossy(&self) -> Option<String> {
        match self {
            Self::Flat => None,
            Self::Scalar(scalar) => Some(format!("scalar quantiser {}", scalar.kind.name())),
            Self::Product(product) => Some(format!(
                "product quantiser of {} parts with {} bits",
                product.parts, product.bits
            )),
        }
    }

    /// The vector behind a code of the right size.
    pub(super) fn decode(&self, code: &[u8], dimensions: u32) -> std::sync::Arc<[f32]> {
        let dimensions = dimensions as usize;
        match self {
            Self::Flat => Numbers::F32.decode(code),
            Self::Scalar(scalar) => (0..dimensions).map(|at| scalar.number(code, at)).collect(),
            Self::Product(product) => product.decode(code, dimensions).into(),
        }
    }
}

/// Every component a code of its own.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    kind: Kind,
    /// Least values, then widths: one of each, or one a component; empty where codes are numbers.
    trained: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bits8,
    Bits4,
    Bits8Uniform,
    Bits4Uniform,
    Half,
    Direct,
    Bits6,
    Brain,
    DirectSigned,
}

impl Kind {
    fn of(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Bits8,
            1 => Self::Bits4,
            2 => Self::Bits8Uniform,
            3 => Self::Bits4Uniform,
            4 => Self::Half,
            5 => Self::Direct,
            6 => Self::Bits6,
            7 => Self::Brain,
            8 => Self::DirectSigned,
            _ => return None,
        })
    }

    /// FAISS's own name.
    fn name(self) -> &'static str {
        match self {
            Self::Bits8 => "QT_8bit",
            Self::Bits4 => "QT_4bit",
            Self::Bits8Uniform => "QT_8bit_uniform",
            Self::Bits4Uniform => "QT_4bit_uniform",
            Self::Half => "QT_fp16",
            Self::Direct => "QT_8bit_direct",
            Self::Bits6 => "QT_6bit",
            Self::Brain => "QT_bf16",
            Self::DirectSigned => "QT_8bit_direct_signed",
        }
    }

    fn size(self, dimensions: u64) -> u64 {
        match self {
            Self::Bits8 | Self::Bits8Uniform | Self::Direct | Self::DirectSigned => dimensions,
            Self::Bits4 | Self::Bits4Uniform => dimensions.div_ceil(2),
            Self::Half | Self::Brain => 2 * dimensions,
            Self::Bits6 => (6 * dimensions).div_ceil(8),
        }
    }

    fn trained(self, dimensions: u64) -> u64 {
        match self {
            Self::Bits8 | Self::Bits4 | Self::Bits6 => 2 * dimensions,
            Self::Bits8Uniform | Self::Bits4Uniform => 2,
            Self::Half | Self::Direct | Self::Brain | Self::DirectSigned => 0,
        }
    }
}

impl Scalar {
    pub(super) fn read(scanner: &mut Scanner<'_>, dimensions: u32) -> Result<Self, ImportError> {
        let number = scanner.i32()?;
        let Some(kind) = Kind::of(number) else {
            return Err(scanner.file.unsupported(format_args!(
                "scalar quantiser {number} is not read, {}",
                super::WAY_OUT
            )));
        };
        scanner.i32()?;
        scanner.f32()?;
        let d = u64::from(dimensions);
        if scanner.u64()? != d || scanner.u64()? != kind.size(d) {
            return Err(scanner.damaged("the quantiser is for vectors of another length"));
        }
        let trained = scanner.floats(2 * d)?;
        if trained.len() as u64 != kind.trained(d) {
            return Err(scanner.damaged(format_args!(
                "{} has {} trained numbers, where {} belong",
                kind.name(),
                trained.len(),
                kind.trained(d)
            )));
        }
        Ok(Self { kind, trained })
    }

    fn number(&self, code: &[u8], at: usize) -> f32 {
        let word = || [code[2 * at], code[2 * at + 1]];
        match self.kind {
            Kind::Bits8 | Kind::Bits8Uniform => self.within(at, code[at], 255.0),
            Kind::Bits4 | Kind::Bits4Uniform => {
                self.within(at, code[at / 2] >> (4 * (at % 2)) & 0xf, 15.0)
            }
            Kind::Bits6 => {
                let first = 6 * at;
                let low = u16::from(code[first / 8]);
                let high = code.get(first / 8 + 1).map_or(0, |byte| u16::from(*byte));
                let bits = (low | high << 8) >> (first % 8) & 0x3f;
                self.within(at, u8::try_from(bits).unwrap_or_default(), 63.0)
            }
            Kind::Half => half(u16::from_le_bytes(word())),
            Kind::Brain => f32::from_bits(u32::from(u16::from_le_bytes(word())) << 16),
            Kind::Direct => f32::from(code[at]),
            Kind::DirectSigned => f32::from(code[at]) - 128.0,
        }
    }

    /// The middle of a step.
    fn within(&self, at: usize, code: u8, steps: f32) -> f32 {
        let (least, widths) = self.trained.split_at(self.trained.len() / 2);
        let at = if least.len() == 1 { 0 } else { at };
        least[at] + (f32::from(code) + 0.5) / steps * widths[at]
    }
}

/// Every part of a vector the nearest of some centroids.
#[derive(Debug, Clone)]
pub(super) struct Product {
    parts: u64,
    bits: u32,
    centroids: Vec<f32>,
}

impl Product {
    pub(super) fn read(scanner: &mut Scanner<'_>, dimensions: u32) -> Result<Self, ImportError> {
        let (d, parts, bits) = (scanner.u64()?, scanner.u64()?, scanner.u64()?);
        let fits = d == u64::from(dimensions)
            && (1..=d).contains(&parts)
            && d.is_multiple_of(parts)
            && (1..=24).contains(&bits);
        if !fits {
            return Err(scanner.damaged("the quantiser is for vectors of another length"));
        }
        let wanted = d << bits;
        if wanted > MOST_CENTROIDS {
            return Err(scanner.file.unsupported(format_args!(
                "a product quantiser of {wanted} numbers is not read, {}",
                super::WAY_OUT
            )));
        }
        let centroids = scanner.floats(wanted)?;
        if centroids.len() as u64 != wanted {
            return Err(scanner.damaged(format_args!(
                "the quantiser has {} numbers, where {wanted} belong",
                centroids.len()
            )));
        }
        #[allow(clippy::cast_possible_truncation, reason = "at most 24")]
        Ok(Self {
            parts,
            bits: bits as u32,
            centroids,
        })
    }

    fn decode(&self, code: &[u8], dimensions: usize) -> Vec<f32> {
        #[allow(clippy::cast_possible_truncation, reason = "at most the dimensions")]
        let parts = self.parts as usize;
        let width = dimensions / parts;
        let mut vector = Vec::with_capacity(dimensions);
        for part in 0..parts {
            let mut number = 0;
            for bit in 0..self.bits as usize {
                let at = part * self.bits as usize + bit;
                number |= usize::from(code[at / 8] >> (at % 8) & 1) << bit;
            }
            let first = ((part << self.bits) + number) * width;
            vector.extend_from_slice(&self.centroids[first..first + width]);
        }
        vector
    }
}
