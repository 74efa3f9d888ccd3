//! G.711, both laws, by table; bit-exact with the ITU-T G.191 reference for all inputs.
//!
//! Encoding looks up the bits the law can see: the top 14 of 16 for µ-law, the top 12 for A-law.

use std::iter::zip;

/// Which companding law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// µ-law: North America and Japan.
    Mu,
    /// A-law: everywhere else.
    A,
}

impl Law {
    /// The byte that means silence.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xFF,
            Self::A => 0xD5,
        }
    }

    /// What one byte stands for.
    pub(crate) fn expand(self, code: u8) -> i16 {
        match self {
            Self::Mu => MU_TO_LINEAR[usize::from(code)],
            Self::A => A_TO_LINEAR[usize::from(code)],
        }
    }

    /// Decodes one sample per byte, as many as both slices have; gives their number.
    pub fn decode(self, payload: &[u8], out: &mut [i16]) -> usize {
        let table = match self {
            Self::Mu => &MU_TO_LINEAR,
            Self::A => &A_TO_LINEAR,
        };
        for (sample, &code) in zip(&mut *out, payload) {
            *sample = table[usize::from(code)];
        }
        out.len().min(payload.len())
    }

    /// Encodes one byte per sample, as many as both slices have; gives their number.
    pub fn encode(self, samples: &[i16], out: &mut [u8]) -> usize {
        let count = out.len().min(samples.len());
        let pairs = zip(&mut *out, samples);
        match self {
            Self::Mu => {
                for (code, &sample) in pairs {
                    *code = MU_FROM_LINEAR[usize::from(sample.cast_unsigned() >> 2)];
                }
            }
            Self::A => {
                for (code, &sample) in pairs {
                    *code = A_FROM_LINEAR[usize::from(sample.cast_unsigned() >> 4)];
                }
            }
        }
        count
    }
}

static MU_TO_LINEAR: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = mu_expand(code as u8);
        code += 1;
    }
    table
};

static A_TO_LINEAR: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = a_expand(code as u8);
        code += 1;
    }
    table
};

static MU_FROM_LINEAR: [u8; 1 << 14] = {
    let mut table = [0; 1 << 14];
    let mut top = 0;
    while top < 1 << 14 {
        table[top] = mu_compress(((top as u16) << 2).cast_signed());
        top += 1;
    }
    table
};

static A_FROM_LINEAR: [u8; 1 << 12] = {
    let mut table = [0; 1 << 12];
    let mut top = 0;
    while top < 1 << 12 {
        table[top] = a_compress(((top as u16) << 4).cast_signed());
        top += 1;
    }
    table
};

/// Both codes carry the sign in bit 7, three bits of segment, four of mantissa.
const fn mu_expand(code: u8) -> i16 {
    let bits = !code;
    let segment = (bits >> 4) & 7;
    let magnitude = ((((bits & 15) as i16) << 3) + BIAS) << segment;
    if code & 0x80 != 0 {
        magnitude - BIAS
    } else {
        BIAS - magnitude
    }
}

const fn mu_compress(sample: i16) -> u8 {
    // One's complement for negatives, then the bias of 33 in 14-bit units, clipped to 13 bits.
    let positive = sample ^ (sample >> 15);
    let biased = (positive >> 2) + (BIAS >> 2);
    let magnitude = if biased > 0x1FFF { 0x1FFF } else { biased } as u16;
    // The bias makes bit 5 the lowest possible leading bit.
    let segment = 10 - magnitude.leading_zeros();
    let mantissa = (magnitude >> (segment + 1)) & 15;
    let sign = if sample >= 0 { 0x80 } else { 0 };
    sign | (!(((segment as u8) << 4) | mantissa as u8) & 0x7F)
}

const fn a_expand(code: u8) -> i16 {
    let bits = code ^ 0x55;
    let segment = (bits >> 4) & 7;
    let step = ((bits & 15) as i16) << 4;
    let magnitude = if segment == 0 {
        step + 8
    } else {
        (step + 0x108) << (segment - 1)
    };
    if bits & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }
}

const fn a_compress(sample: i16) -> u8 {
    let magnitude = ((sample ^ (sample >> 15)) >> 4) as u16;
    let bits = if magnitude < 32 {
        magnitude as u8
    } else {
        // Segments 1 and up double the step; bit 5 leads in segment 2.
        let segment = 12 - magnitude.leading_zeros();
        ((segment as u8) << 4) | ((magnitude >> (segment - 1)) & 15) as u8
    };
    let sign = if sample >= 0 { 0x80 } else { 0 };
    (sign | bits) ^ 0x55
}

/// µ-law's bias in 16-bit units: 33 steps of its 14-bit scale.
const BIAS: i16 = 33 << 2;

#[cfg(test)]
mod tests {
    use super::Law;

    /// ITU-T G.191 `ulaw_compress`, step by step as published.
    fn reference_mu(sample: i16) -> u8 {
        let mut absolute = if sample < 0 {
            (!sample >> 2) + 33
        } else {
            (sample >> 2) + 33
        };
        if absolute > 0x1FFF {
            absolute = 0x1FFF;
        }
        let mut rest = absolute >> 6;
        let mut segment = 1;
        while rest != 0 {
            segment += 1;
            rest >>= 1;
        }
        let high = 8 - segment;
        let low = 15 - ((absolute >> segment) & 15);
        let code = (high << 4) | low;
        (if sample >= 0 { code | 0x80 } else { code }) as u8
    }

    /// ITU-T G.191 `alaw_compress`, step by step as published.
    fn reference_a(sample: i16) -> u8 {
        let mut x = if sample < 0 {
            !sample >> 4
        } else {
            sample >> 4
        };
        if x > 15 {
            let mut exponent = 1;
            while x > 31 {
                x >>= 1;
                exponent += 1;
            }
            x -= 16;
            x += exponent << 4;
        }
        if sample >= 0 {
            x |= 0x80;
        }
        (x ^ 0x55) as u8
    }

    /// ITU-T G.191 `ulaw_expand` and `alaw_expand`.
    fn reference_expand(law: Law, code: u8) -> i16 {
        let code = i32::from(code);
        let linear = match law {
            Law::Mu => {
                let sign = if code < 0x80 { -1 } else { 1 };
                let exponent = (!code >> 4) & 7;
                let step = 4 << (exponent + 1);
                sign * ((0x80 << exponent) + step * (!code & 15) + step / 2 - 4 * 33)
            }
            Law::A => {
                let x = (code ^ 0x55) & 0x7F;
                let (exponent, mut mantissa) = (x >> 4, x & 15);
                if exponent > 0 {
                    mantissa += 16;
                }
                mantissa = (mantissa << 4) + 8;
                if exponent > 1 {
                    mantissa <<= exponent - 1;
                }
                if code > 127 { mantissa } else { -mantissa }
            }
        };
        linear.try_into().unwrap()
    }

    // covers: RFC 3551 §4.5.14
    #[test]
    fn all_samples_and_all_codes_convert_as_the_reference_formula_does() {
        let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let codes: Vec<u8> = (0..=255).collect();
        for (law, reference) in [
            (Law::Mu, reference_mu as fn(i16) -> u8),
            (Law::A, reference_a),
        ] {
            let mut encoded = vec![0; samples.len()];
            assert_eq!(law.encode(&samples, &mut encoded), 65_536);
            for (&sample, &code) in samples.iter().zip(&encoded) {
                assert_eq!(code, reference(sample), "{law:?} of {sample}");
            }
            let mut decoded = vec![0; 256];
            assert_eq!(law.decode(&codes, &mut decoded), 256);
            for (&code, &sample) in codes.iter().zip(&decoded) {
                assert_eq!(
                    sample,
                    reference_expand(law, code),
                    "{law:?} code {code:#x}"
                );
            }
        }
    }

    #[test]
    fn a_decoded_code_encodes_to_itself_but_for_negative_zero() {
        for law in [Law::Mu, Law::A] {
            for code in 0..=255_u8 {
                let (mut sample, mut again) = ([0], [0]);
                law.decode(&[code], &mut sample);
                law.encode(&sample, &mut again);
                let want = if (law, code) == (Law::Mu, 0x7F) {
                    0xFF
                } else {
                    code
                };
                assert_eq!(again[0], want, "{law:?} {code:#x} {sample:?}");
            }
        }
    }

    #[test]
    fn the_shorter_slice_bounds_the_work() {
        let mut out = [7; 4];
        assert_eq!(Law::A.decode(&[0xD5; 2], &mut out), 2);
        assert_eq!(out, [8, 8, 7, 7]);
        assert_eq!(Law::Mu.encode(&[0; 9], &mut [0; 3]), 3);
    }
}
