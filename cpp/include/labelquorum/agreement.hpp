// How many partitions agree: degrees of strong positive edges, the graph of them, co-association.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/partitions.hpp"
#include "labelquorum/signatures.hpp"

namespace labelquorum {

// The exact ways to find the pairs of signatures that agree in at least min_agree partitions. All
// give the same numbers; `automatic` takes the one with the least estimated cost.
enum class Way : std::uint8_t { automatic, subsets, pairs, blocks };

// For every signature the number of samples (itself included) that agree with it in at least
// min_agree partitions; 0 for one with fewer votes than that. 1 <= min_agree <= n_partitions, else
// std::invalid_argument.
//
// Cost, with U signatures, M partitions, t = min_agree:
//   subsets  O(U * sum over s = t..M of C(M, s));
//   pairs    O(U^2 * M), bit-parallel;
//   blocks   O(U * (M - t + 1)) plus O(M) for every pair that shares one of M - t + 1 column
//   blocks.
// Throws WorkLimitError when the cheapest of them (or the one given) would take more than about
// 10^4 seconds of one core.
std::vector<std::int64_t> agreement_degrees(const SignatureTable& table, std::size_t min_agree,
                                            Way way, const Executor& executor);

// Symmetric graph over the signatures in CSR form: an edge, the diagonal included, where agree >=
// min_agree; its value is the number of agreeing partitions. Indices are sorted within a row. The
// edges are counted first, so that a graph that does not fit is refused before memory is taken.
struct AgreementGraph {
    std::vector<std::int64_t> indptr;   // n_signatures + 1
    std::vector<std::int32_t> indices;  // n_edges
    std::vector<std::int32_t> votes;    // n_edges
};
AgreementGraph agreement_graph(const SignatureTable& table, std::size_t min_agree,
                               const Executor& executor);

// Co-association of pairs of rows: agree / number of partitions in which both have a label; NaN
// where there is none. `pairs` holds n_pairs pairs of row numbers, each checked against n_rows
// (std::out_of_range). O(n_pairs * n_partitions). Index is int32_t or int64_t.
template <class Index>
void coassociation(const Partitions& partitions, const Index* pairs, std::size_t n_pairs,
                   double* out, const Executor& executor);

// The same for the edges of a CSR pattern of n_rows rows. indptr (n_rows + 1 values) has to ascend
// from 0 (std::invalid_argument); the column numbers are checked. Writes indptr[n_rows] values.
template <class Index>
void coassociation(const Partitions& partitions, const Index* indptr, const Index* indices,
                   double* out, const Executor& executor);

}  // namespace labelquorum
