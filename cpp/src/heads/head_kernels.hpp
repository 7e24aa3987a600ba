// The inner loops of clustering heads, compiled once per instruction set.
//
// "Values" are what is multiplied: Real, or bytes with scales. "Lines" are rows of a matrix of
// weights, gradients or logits: one per head and cluster. A step works on blocks of pairs of rows.
// The rows of a block are packed twice: by columns, to be multiplied with directions, and by rows,
// to be multiplied with gradients. Callers get the table of functions once, outside of loops.
#pragma once

#include <cstddef>
#include <cstdint>

namespace labelquorum {

// The first rows of the pairs of a block come before the second ones.
inline constexpr std::size_t pairs_per_block = 64;
inline constexpr std::size_t rows_per_block = 2 * pairs_per_block;

// The constants of one step of AdamW.
template <class Real>
struct AdamStep {
    Real rate;          // divided by the correction of the mean of gradients
    Real kept;          // the share of the weights that decay leaves
    Real square_scale;  // 1 / the correction of the mean of squares
    Real momentum;      // of the teacher
};

// A line stands for `scale` times its values. Its products with rows are too large by `offset`.
template <class Real>
struct LineScale {
    Real scale;
    std::int32_t offset;
};

template <class Real>
struct HeadKernels {
    std::size_t column_multiple;  // rows and weights are padded with zeros to a multiple of this
    std::size_t lanes;            // sums over pairs are kept in so many parts
    std::size_t value_bytes;

    // Turns a row of n_columns numbers into n_padded values, and returns its scale.
    Real (*put_row)(const Real* row, std::size_t n_columns, std::size_t n_padded, void* to);
    // Packs rows_per_block rows of values. Both packed forms have rows_per_block * n_padded values.
    void (*pack)(const void* const* rows, std::size_t n_padded, void* by_columns, void* by_rows);
    // logits: n_lines x rows_per_block, the products of directions with the rows.
    void (*multiply)(const void* directions, const LineScale<Real>* line_scales,
                     std::size_t n_lines, const void* by_columns, const Real* row_scales,
                     std::size_t n_padded, Real* logits);
    // The losses of one head, and `scale` times the gradient of their sum with respect to the
    // student's logits, which replaces these. Overwrites the teacher's; `scratch` has room for
    // 2 * n_clusters * lanes numbers. `counted` is 1 for each pair that counts, 0 for padding.
    // Adds the losses to loss_sums (lanes), and the teacher's probabilities to mean_sums
    // (n_clusters x lanes).
    void (*pair_losses)(Real* student, Real* teacher, std::size_t n_clusters, Real sharing,
                        const Real* log_means, const Real* counted, Real scale, Real* scratch,
                        Real* loss_sums, Real* mean_sums);
    // Turns gradients (n_lines x rows_per_block) times the scales of rows into values.
    void (*put_gradient)(const Real* gradient, const Real* row_scales, std::size_t n_lines,
                         void* to, LineScale<Real>* line_scales);
    // Adds these values times the rows to totals (n_lines x n_padded).
    void (*accumulate)(const void* gradient, const LineScale<Real>* line_scales,
                       std::size_t n_lines, const void* by_rows, std::size_t n_padded,
                       Real* totals);
    // direction = weights * scale / their length, as values.
    LineScale<Real> (*direct)(const Real* weights, std::size_t n_padded, Real scale,
                              void* direction);
    // Turns the gradient with respect to the direction into that with respect to the weights.
    void (*through_length)(const Real* weights, std::size_t n_padded, Real scale, Real* gradient);
    // Moves the student's weights by one step of AdamW, and the teacher's after them.
    void (*update)(const Real* gradient, std::size_t n_weights, const AdamStep<Real>& step,
                   Real* means, Real* squares, Real* student, Real* teacher);
    // weights /= their length, the true one.
    void (*normalize)(Real* weights, std::size_t n_padded);
};

// The functions for the instruction set in use.
template <class Real>
const HeadKernels<Real>& head_kernels();

}  // namespace labelquorum
