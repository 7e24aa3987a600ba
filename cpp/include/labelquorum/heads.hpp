// Clustering heads: linear classifiers trained without labels on pairs of near neighbors.
//
// The objective is TEMI's (Adaloglou, Michels, Kalisch and Kollmann, "Exploring the limits of deep
// image clustering using pretrained models", BMVC 2023). A head has one direction of length 1 per
// cluster. The student's probabilities p of a row are the softmax of row . direction / temperature;
// the teacher's, q, come from a slowly moving average of the student's weights. A pair of rows x
// and y costs
//     -w (log sum_c (p_c(x) q_c(y))^sharing / m_c + log sum_c (p_c(y) q_c(x))^sharing / m_c) / 2,
// where w = sum_c q_c(x) q_c(y), and m is a running mean of q.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "labelquorum/executor.hpp"

namespace labelquorum {

struct HeadShape {
    std::size_t n_heads;
    std::size_t n_clusters;
    std::size_t n_columns;

    std::size_t n_weights() const { return n_heads * n_clusters * n_columns; }
};

struct HeadObjective {
    double temperature = 0.05;
    double sharing = 0.6;
};

struct HeadTraining {
    HeadObjective objective;
    std::size_t n_passes = 60;
    std::size_t batch_size = 1024;  // pairs per step, at most as many as rows
    double rate = 0.03;             // of AdamW; falls to 0 along half a cosine
    double decay = 1e-4;            // of the weights, times the rate
    double momentum = 0.98;         // of the teacher
    std::uint64_t seed = 0;
};

// C-contiguous, one row after another.
template <class Real>
struct RowsView {
    const Real* values;
    std::size_t n_rows;
    std::size_t n_columns;
};

// The near neighbors of each row, `n_neighbors` after another; may be none, and then a row makes a
// pair with itself.
template <class Index>
struct NeighborsView {
    const Index* indices;
    std::size_t n_neighbors;
};

// The pair number `place` of a step of the training, counted from 0.
struct HeadPair {
    std::size_t row;
    std::size_t slot;  // which of its neighbors
};
HeadPair draw_pair(std::uint64_t seed, std::uint64_t number, std::size_t n_rows,
                   std::size_t n_neighbors);

// Trains the heads. weights: n_heads x n_clusters x n_columns; the initial ones, replaced by the
// teacher's directions. losses: for each head, the mean over the last quarter of the steps. The
// result does not depend on the number of threads.
//
// A pass has n_rows / batch_size steps. The pairs of a step are drawn with replacement: pair number
// `number` of the whole training is draw_pair(seed, number, ...). The running mean m starts at 1 /
// n_clusters; after each step, a tenth of it is replaced by the mean of q over the step's rows.
//
// Products are computed in bytes, with a scale for each row and each direction, where the processor
// has instructions for it, else in single precision. Memory: the rows once more (a quarter of it in
// bytes), about 28 bytes per weight and 2 MiB per thread.
//
// Throws std::invalid_argument if a size is 0, a setting is out of its range, or a neighbor is not
// a row.
template <class Index>
void train_heads(const RowsView<float>& rows, const NeighborsView<Index>& neighbors,
                 const HeadShape& shape, const HeadTraining& training, std::span<float> weights,
                 std::span<float> losses, const Executor& executor);

// The mean loss of each head over given pairs, and its gradient with respect to the student's
// weights; the same code as in the training. pairs: the rows of one pair after those of another.
// log_means: n_heads x n_clusters, the logarithm of m.
template <class Real>
void head_losses(const RowsView<Real>& rows, std::span<const std::int64_t> pairs,
                 const HeadShape& shape, const HeadObjective& objective,
                 std::span<const Real> student, std::span<const Real> teacher,
                 std::span<const Real> log_means, std::span<Real> losses, std::span<Real> gradient);

}  // namespace labelquorum
