#include "labelquorum/agreement.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/read_once.hpp"
#include "code_columns.hpp"
#include "degrees.hpp"
#include "row_scan.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t pair_block = 1024;

void check_min_agree(std::size_t min_agree, std::size_t n_partitions) {
    if (min_agree < 1 || min_agree > n_partitions) {
        throw std::invalid_argument("min_agree must be from 1 to " + std::to_string(n_partitions) +
                                    ", the number of partitions, got " + std::to_string(min_agree) +
                                    ".");
    }
}

// Writes row i of the graph. indptr already says where.
template <class C>
void find_edges_by_scan(const CodeColumns<C>& columns, std::size_t min_agree, std::size_t i,
                        std::vector<C>& row, std::vector<C>& agree, AgreementGraph& graph) {
    const RowScan<C>& scan = row_scan<C>();
    columns.copy_row(i, row.data());
    auto place = static_cast<std::size_t>(graph.indptr[i]);
    for (std::size_t j = 0; j < columns.n_rows; j += scan_rows) {
        const std::size_t n = std::min(scan_rows, columns.n_rows - j);
        scan.agree(columns.codes.data() + j, columns.n_rows, columns.n_partitions, row.data(), n,
                   agree.data());
        for (std::size_t k = 0; k < n; ++k) {
            if (agree[k] < min_agree) continue;
            graph.indices[place] = static_cast<std::int32_t>(j + k);
            graph.votes[place] = static_cast<std::int32_t>(agree[k]);
            ++place;
        }
    }
}

template <class C>
void find_edges_by_groups(const PackedSignatures& signatures, const std::vector<C>& rows,
                          const BlockGroups& groups, std::size_t i,
                          std::vector<std::pair<std::int32_t, std::int32_t>>& edges,
                          AgreementGraph& graph) {
    auto place = static_cast<std::size_t>(graph.indptr[i]);
    if (graph.indptr[i + 1] == graph.indptr[i]) return;
    edges.assign(1,
                 {static_cast<std::int32_t>(i), static_cast<std::int32_t>(signatures.n_votes(i))});
    groups.for_each_neighbor(rows.data(), i, [&](std::uint32_t j, std::int32_t votes) {
        edges.emplace_back(static_cast<std::int32_t>(j), votes);
    });
    std::sort(edges.begin(), edges.end());
    for (const auto& [j, votes] : edges) {
        graph.indices[place] = j;
        graph.votes[place] = votes;
        ++place;
    }
}

// Adds for each pair (first(k), second(k)), k in [0, n), the number of agreeing partitions to
// agree[k], and the number of partitions in which both have a label to both[k].
template <class First, class Second>
void count_votes(const Partitions& partitions, std::size_t n, First&& first, Second&& second,
                 std::uint32_t* agree, std::uint32_t* both) {
    for (const Column& column : partitions.columns) {
        visit(column, [&](auto values) {
            for (std::size_t k = 0; k < n; ++k) {
                const auto a = values[first(k)];
                const auto b = values[second(k)];
                const bool labeled = !(a < 0) && !(b < 0);
                both[k] += static_cast<std::uint32_t>(labeled);
                agree[k] += static_cast<std::uint32_t>(labeled && a == b);
            }
        });
    }
}

void check_all_ids(const Partitions& partitions, const Executor& executor) {
    executor.run_ranges(
        partitions.n_rows, std::size_t{1} << 14,
        [&](std::size_t begin, std::size_t end, int) { check_ids(partitions, begin, end); });
}

void write_shares(const std::uint32_t* agree, const std::uint32_t* both, std::size_t n,
                  double* out) {
    for (std::size_t k = 0; k < n; ++k) {
        out[k] = both[k] == 0 ? std::numeric_limits<double>::quiet_NaN()
                              : static_cast<double>(agree[k]) / static_cast<double>(both[k]);
    }
}

template <class Index>
std::size_t checked_row(const Index* from, std::size_t n_rows) {
    const Index row = read_once(from);
    if (row >= 0 && static_cast<std::uint64_t>(row) < n_rows) return static_cast<std::size_t>(row);
    throw std::out_of_range("pairs must hold rows from 0 to " + std::to_string(n_rows) +
                            " - 1, got " + std::to_string(row) + ".");
}

}  // namespace

std::vector<std::int64_t> agreement_degrees(const SignatureTable& table, std::size_t min_agree,
                                            Way way, const Executor& executor) {
    check_min_agree(min_agree, table.n_partitions());
    return degrees(table.packed(), min_agree, way, executor);
}

AgreementGraph agreement_graph(const SignatureTable& table, std::size_t min_agree,
                               const Executor& executor) {
    check_min_agree(min_agree, table.n_partitions());
    PackedSignatures signatures = table.packed();
    const std::size_t n = signatures.size();
    const Plan plan = plan_pairs(signatures, min_agree, Way::automatic, false, executor);

    // With one sample per signature, degrees are numbers of edges.
    std::fill(signatures.counts.begin(), signatures.counts.end(), 1);
    AgreementGraph graph;
    graph.indptr.assign(1, 0);
    for (const std::int64_t degree : degrees(signatures, min_agree, Way::automatic, executor)) {
        graph.indptr.push_back(graph.indptr.back() + degree);
    }
    const auto n_edges = static_cast<std::size_t>(graph.indptr.back());
    executor.require_memory(n_edges * 2 * sizeof(std::int32_t), "the agreement graph");
    graph.indices.resize(n_edges);
    graph.votes.resize(n_edges);

    constexpr std::size_t grain = 256;
    visit_code_type(signatures, [&]<class C>(C) {
        if (plan.way == Way::blocks) {
            const auto rows = unpack_rows<C>(signatures, executor);
            executor.stage("graph");
            executor.run_ranges(n, grain, [&](std::size_t begin, std::size_t end, int) {
                std::vector<std::pair<std::int32_t, std::int32_t>> edges;
                for (std::size_t i = begin; i < end; ++i) {
                    find_edges_by_groups(signatures, rows, *plan.groups, i, edges, graph);
                    executor.checkpoint();
                }
            });
        } else {
            const auto columns = unpack<C>(signatures, executor);
            executor.stage("graph");
            executor.run_ranges(n, grain, [&](std::size_t begin, std::size_t end, int) {
                std::vector<C> row(columns.n_partitions);
                std::vector<C> agree(scan_rows);
                for (std::size_t i = begin; i < end; ++i) {
                    find_edges_by_scan(columns, min_agree, i, row, agree, graph);
                    executor.checkpoint();
                }
            });
        }
    });
    return graph;
}

template <class Index>
void coassociation(const Partitions& partitions, const Index* pairs, std::size_t n_pairs,
                   double* out, const Executor& executor) {
    check_all_ids(partitions, executor);
    executor.stage("co-association");
    executor.run_ranges(n_pairs, pair_block, [&](std::size_t begin, std::size_t end, int) {
        std::vector<std::size_t> rows(2 * (end - begin));  // others may change the pairs
        for (std::size_t k = 0; k < rows.size(); ++k) {
            rows[k] = checked_row(pairs + 2 * begin + k, partitions.n_rows);
        }
        std::vector<std::uint32_t> agree(end - begin, 0);
        std::vector<std::uint32_t> both(end - begin, 0);
        count_votes(
            partitions, end - begin, [&](std::size_t k) { return rows[2 * k]; },
            [&](std::size_t k) { return rows[2 * k + 1]; }, agree.data(), both.data());
        write_shares(agree.data(), both.data(), end - begin, out + begin);
    });
}

template void coassociation(const Partitions&, const std::int32_t*, std::size_t, double*,
                            const Executor&);
template void coassociation(const Partitions&, const std::int64_t*, std::size_t, double*,
                            const Executor&);

template <class Index>
void coassociation(const Partitions& partitions, const Index* indptr, const Index* indices,
                   double* out, const Executor& executor) {
    if (indptr[0] != 0 || !std::is_sorted(indptr, indptr + partitions.n_rows + 1)) {
        throw std::invalid_argument("pairs must be a valid CSR graph: indptr must ascend from 0.");
    }
    check_all_ids(partitions, executor);
    executor.stage("co-association");
    const auto n_edges = static_cast<std::size_t>(indptr[partitions.n_rows]);
    executor.run_ranges(n_edges, pair_block, [&](std::size_t begin, std::size_t end, int) {
        // The row of each edge. indptr is searched once, then followed.
        const Index* row_end =
            std::upper_bound(indptr, indptr + partitions.n_rows + 1, static_cast<Index>(begin));
        std::vector<std::size_t> row(end - begin);
        std::vector<std::size_t> other(end - begin);  // others may change the indices
        for (std::size_t k = begin; k < end; ++k) {
            while (static_cast<std::size_t>(*row_end) <= k) ++row_end;
            row[k - begin] = static_cast<std::size_t>(row_end - indptr) - 1;
            other[k - begin] = checked_row(indices + k, partitions.n_rows);
        }
        std::vector<std::uint32_t> agree(end - begin, 0);
        std::vector<std::uint32_t> both(end - begin, 0);
        count_votes(
            partitions, end - begin, [&](std::size_t k) { return row[k]; },
            [&](std::size_t k) { return other[k]; }, agree.data(), both.data());
        write_shares(agree.data(), both.data(), end - begin, out + begin);
    });
}

template void coassociation(const Partitions&, const std::int32_t*, const std::int32_t*, double*,
                            const Executor&);
template void coassociation(const Partitions&, const std::int64_t*, const std::int64_t*, double*,
                            const Executor&);

}  // namespace labelquorum
