// How many partitions agree: degrees and graph of strong positive edges, and co-association.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/partitions.hpp"
#include "labelquorum/signatures.hpp"

namespace labelquorum {

// Ways to find the pairs of signatures that agree in at least min_agree partitions. All are exact;
// `automatic` takes the one with the lowest estimated cost.
enum class Way : std::uint8_t { automatic, subsets, pairs, blocks };

// For every signature, the number of samples (its own included) that agree with it in at least
// min_agree partitions. It is 0 for a signature with fewer votes than that.
//
// Throws std::invalid_argument unless 1 <= min_agree <= n_partitions, and WorkLimitError if the
// chosen way would take more than about 10^4 seconds of one core.
//
// Cost, with U signatures, M partitions and t = min_agree:
//   subsets  O(U * sum over s = t..M of C(M, s));
//   pairs    O(U^2 * M), bit-parallel;
//   blocks   O(U * (M - t + 1)), plus O(M) for every pair that agrees on one of M - t + 1 blocks of
//            columns.
std::vector<std::int64_t> agreement_degrees(const SignatureTable& table, std::size_t min_agree,
                                            Way way, const Executor& executor);

// A symmetric graph of the signatures in CSR form, the diagonal included. Two signatures have an
// edge if they agree in at least min_agree partitions; its value is the number of these partitions.
// Indices are sorted within a row. Edges are counted first, so that a graph that does not fit is
// refused before any memory is taken.
struct AgreementGraph {
    std::vector<std::int64_t> indptr;   // n_signatures + 1
    std::vector<std::int32_t> indices;  // n_edges
    std::vector<std::int32_t> votes;    // n_edges
};
AgreementGraph agreement_graph(const SignatureTable& table, std::size_t min_agree,
                               const Executor& executor);

// Co-association of pairs of rows: the number of partitions that agree on both, divided by the
// number of partitions in which both have a label; NaN if there is none. `pairs` holds n_pairs
// pairs of row numbers. Throws std::out_of_range for a number that is not a row. O(n_pairs *
// n_partitions). Index is int32_t or int64_t.
template <class Index>
void coassociation(const Partitions& partitions, const Index* pairs, std::size_t n_pairs,
                   double* out, const Executor& executor);

// The same for the edges of a CSR pattern with n_rows rows; writes indptr[n_rows] values. Throws
// std::invalid_argument unless indptr (n_rows + 1 values) ascends from 0.
template <class Index>
void coassociation(const Partitions& partitions, const Index* indptr, const Index* indices,
                   double* out, const Executor& executor);

}  // namespace labelquorum
