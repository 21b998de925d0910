//! The matrix product: one checked, safe function over `gemm`'s raw one.
//!
//! The only module that hands pointers to another crate. Every cell that `gemm` will touch is proved to lie in its slice
//! before the call.
#![allow(unsafe_code)] // `gemm::gemm` takes raw pointers and strides; the bounds are checked just above the call

/// A matrix of f32 inside a slice: `rows × columns`, element (r, c) at `r × row_stride + c × column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

/// A row-major matrix inside a mutable slice, whose rows are `row_stride` apart.
pub(crate) struct ViewMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
}

/// Computes `out = left × right`, or `out += left × right` where `add` says so, on the calling thread.
///
/// # Panics
/// If the sizes do not fit each other or a view reaches beyond its slice: an error of this crate, not of its input.
pub(crate) fn multiply(out: ViewMut<'_>, add: bool, left: View<'_>, right: View<'_>) {
    let (rows, columns, depth) = (out.rows, out.columns, left.columns);
    assert!(
        left.rows == rows && right.columns == columns && right.rows == depth,
        "matrix sizes differ"
    );
    assert!(out.row_stride >= columns, "rows of the product overlap");
    let reach = |rows: usize, columns: usize, row_stride: usize, column_stride: usize| {
        if rows == 0 || columns == 0 {
            return Some(0);
        }
        (rows - 1)
            .checked_mul(row_stride)?
            .checked_add((columns - 1).checked_mul(column_stride)?)?
            .checked_add(1)
    };
    let inside =
        |needed: Option<usize>, data: &[f32]| needed.is_some_and(|needed| needed <= data.len());
    assert!(
        inside(reach(rows, columns, out.row_stride, 1), out.data),
        "the product does not fit"
    );
    assert!(
        inside(
            reach(rows, depth, left.row_stride, left.column_stride),
            left.data
        ),
        "left reaches beyond its slice"
    );
    assert!(
        inside(
            reach(depth, columns, right.row_stride, right.column_stride),
            right.data
        ),
        "right reaches beyond its slice"
    );
    // SAFETY: the three matrices lie inside their slices (checked above), the product is borrowed mutably and its rows do
    // not overlap, and strides fit isize because slices never span more than isize::MAX bytes.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            out.data.as_mut_ptr(),
            1,
            out.row_stride as isize,
            add,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
