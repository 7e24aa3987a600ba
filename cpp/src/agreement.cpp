#include "labelquorum/agreement.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>

#include "code_columns.hpp"
#include "degrees.hpp"
#include "row_scan.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t pair_block = 1024;

void check_min_agree(std::size_t min_agree, std::size_t n_partitions) {
    if (min_agree < 1 || min_agree > n_partitions) {
        throw std::invalid_argument("min_agree: " + std::to_string(min_agree) +
                                    " votes given; it has to be 1 to " +
                                    std::to_string(n_partitions));
    }
}

struct Edge {
    std::int32_t to;
    std::int32_t votes;
};

// The neighbours of signatures [begin, end), with the end of each one's run in `ends`.
struct EdgeList {
    std::vector<Edge> edges;
    std::vector<std::size_t> ends;
};

template <class C>
EdgeList edges_by_pairs(const PackedSignatures& signatures, const CodeColumns<C>& columns,
                        std::size_t min_agree, std::size_t begin, std::size_t end,
                        const Executor& executor) {
    const RowScan<C>& scan = row_scan<C>();
    const std::size_t m = signatures.n_partitions();
    EdgeList list;
    std::vector<C> row(m);
    std::vector<C> agree(scan_rows);
    for (std::size_t i = begin; i < end; ++i) {
        columns.copy_row(i, row.data());
        for (std::size_t j = 0; j < columns.n_rows; j += scan_rows) {
            const std::size_t n = std::min(scan_rows, columns.n_rows - j);
            scan.agree(columns.codes.data() + j, columns.n_rows, m, row.data(), n, agree.data());
            for (std::size_t k = 0; k < n; ++k) {
                if (agree[k] < min_agree) continue;
                list.edges.push_back(
                    {static_cast<std::int32_t>(j + k), static_cast<std::int32_t>(agree[k])});
            }
        }
        list.ends.push_back(list.edges.size());
        executor.checkpoint();
    }
    return list;
}

template <class C>
EdgeList edges_by_blocks(const PackedSignatures& signatures, const std::vector<C>& rows,
                         const BlockGroups& groups, std::size_t min_agree, std::size_t begin,
                         std::size_t end, const Executor& executor) {
    EdgeList list;
    for (std::size_t i = begin; i < end; ++i) {
        const std::size_t first = list.edges.size();
        const std::size_t votes = signatures.n_votes(i);
        if (votes >= min_agree) {
            list.edges.push_back({static_cast<std::int32_t>(i), static_cast<std::int32_t>(votes)});
            groups.for_each_neighbor(rows.data(), i, [&](std::uint32_t j, std::int32_t agree) {
                list.edges.push_back({static_cast<std::int32_t>(j), agree});
            });
            std::sort(list.edges.begin() + static_cast<std::ptrdiff_t>(first), list.edges.end(),
                      [](const Edge& a, const Edge& b) { return a.to < b.to; });
        }
        list.ends.push_back(list.edges.size());
        executor.checkpoint();
    }
    return list;
}

// Lays the lists of consecutive ranges of rows out as one CSR graph. Frees them on the way.
AgreementGraph concatenate(std::vector<EdgeList>& lists, std::size_t n_rows,
                           const Executor& executor) {
    AgreementGraph graph;
    graph.indptr.reserve(n_rows + 1);
    graph.indptr.push_back(0);
    std::vector<std::size_t> starts;
    std::size_t n_edges = 0;
    for (const EdgeList& list : lists) {
        starts.push_back(n_edges);
        for (const std::size_t end : list.ends) {
            graph.indptr.push_back(static_cast<std::int64_t>(n_edges + end));
        }
        n_edges += list.edges.size();
    }
    executor.require_memory(n_edges * sizeof(Edge), "the agreement graph");
    graph.indices.resize(n_edges);
    graph.votes.resize(n_edges);
    executor.run(lists.size(), [&](std::size_t k, int) {
        std::size_t place = starts[k];
        for (const Edge& edge : lists[k].edges) {
            graph.indices[place] = edge.to;
            graph.votes[place] = edge.votes;
            ++place;
        }
        lists[k] = {};
    });
    return graph;
}

// Adds, for the pairs (first(k), second(k)) of k in [0, n), the agreeing partitions to `agree` and
// those in which both have a label to `both`.
template <class First, class Second>
void count_votes(const Partitions& partitions, std::size_t n, First&& first, Second&& second,
                 std::uint32_t* agree, std::uint32_t* both) {
    for (const Column& column : partitions.columns) {
        visit(column, [&](auto values) {
            for (std::size_t k = 0; k < n; ++k) {
                const auto a = values[first(k)];
                const auto b = values[second(k)];
                const bool labelled = !(a < 0) && !(b < 0);
                both[k] += static_cast<std::uint32_t>(labelled);
                agree[k] += static_cast<std::uint32_t>(labelled && a == b);
            }
        });
    }
}

void write_shares(const std::uint32_t* agree, const std::uint32_t* both, std::size_t n,
                  double* out) {
    for (std::size_t k = 0; k < n; ++k) {
        out[k] = both[k] == 0 ? std::numeric_limits<double>::quiet_NaN()
                              : static_cast<double>(agree[k]) / static_cast<double>(both[k]);
    }
}

template <class Index>
void check_row(Index row, std::size_t n_rows, const char* name) {
    if (row < 0 || static_cast<std::uint64_t>(row) >= n_rows) {
        throw std::out_of_range(std::string(name) + ": row " + std::to_string(row) +
                                " of partitions with " + std::to_string(n_rows) + " rows");
    }
}

}  // namespace

void agreement_degrees(const SignatureTable& table, std::size_t min_agree, Way way,
                       std::int64_t* out, const Executor& executor) {
    check_min_agree(min_agree, table.n_partitions());
    const auto result = degrees(table.packed(), min_agree, way, executor);
    std::copy(result.begin(), result.end(), out);
}

AgreementGraph agreement_graph(const SignatureTable& table, std::size_t min_agree,
                               const Executor& executor) {
    check_min_agree(min_agree, table.n_partitions());
    const PackedSignatures signatures = table.packed();
    const std::size_t n = signatures.size();
    const Plan plan = plan_pairs(signatures, min_agree, Way::automatic, false, executor);
    constexpr std::size_t grain = 256;
    std::vector<EdgeList> lists((n + grain - 1) / grain);
    std::atomic<std::size_t> n_edges = 0;
    visit_code_type(signatures, [&]<class C>(C) {
        const bool by_blocks = plan.way == Way::blocks;
        const auto rows = by_blocks ? unpack_rows<C>(signatures, executor) : std::vector<C>();
        const auto columns = by_blocks ? CodeColumns<C>() : unpack<C>(signatures, executor);
        executor.stage("graph");
        executor.run_ranges(n, grain, [&](std::size_t begin, std::size_t end, int) {
            EdgeList& list = lists[begin / grain];
            list = by_blocks ? edges_by_blocks(signatures, rows, *plan.groups, min_agree, begin,
                                               end, executor)
                             : edges_by_pairs(signatures, columns, min_agree, begin, end, executor);
            // As much again is needed to lay them out.
            n_edges += list.edges.size();
            executor.require_memory(n_edges * sizeof(Edge), "the agreement graph");
        });
    });
    return concatenate(lists, n, executor);
}

template <class Index>
void coassociation(const Partitions& partitions, const Index* pairs, std::size_t n_pairs,
                   double* out, const Executor& executor) {
    executor.stage("co-association");
    executor.run_ranges(n_pairs, pair_block, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t k = 2 * begin; k < 2 * end; ++k) {
            check_row(pairs[k], partitions.n_rows, "pairs");
        }
        std::vector<std::uint32_t> agree(end - begin, 0);
        std::vector<std::uint32_t> both(end - begin, 0);
        const Index* first = pairs + 2 * begin;
        count_votes(
            partitions, end - begin,
            [&](std::size_t k) { return static_cast<std::size_t>(first[2 * k]); },
            [&](std::size_t k) { return static_cast<std::size_t>(first[2 * k + 1]); },
            agree.data(), both.data());
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
    executor.stage("co-association");
    const std::size_t n_edges = static_cast<std::size_t>(indptr[partitions.n_rows]);
    executor.run_ranges(n_edges, pair_block, [&](std::size_t begin, std::size_t end, int) {
        // The row of each edge: indptr is searched once, then followed.
        const Index* row_end = std::upper_bound(indptr, indptr + partitions.n_rows + 1,
                                                static_cast<Index>(begin));
        std::vector<std::size_t> row(end - begin);
        for (std::size_t k = begin; k < end; ++k) {
            while (static_cast<std::size_t>(*row_end) <= k) ++row_end;
            row[k - begin] = static_cast<std::size_t>(row_end - indptr) - 1;
            check_row(indices[k], partitions.n_rows, "pairs");
        }
        std::vector<std::uint32_t> agree(end - begin, 0);
        std::vector<std::uint32_t> both(end - begin, 0);
        count_votes(
            partitions, end - begin, [&](std::size_t k) { return row[k]; },
            [&](std::size_t k) { return static_cast<std::size_t>(indices[begin + k]); },
            agree.data(), both.data());
        write_shares(agree.data(), both.data(), end - begin, out + begin);
    });
}

template void coassociation(const Partitions&, const std::int32_t*, const std::int32_t*, double*,
                            const Executor&);
template void coassociation(const Partitions&, const std::int64_t*, const std::int64_t*, double*,
                            const Executor&);

}  // namespace labelquorum
