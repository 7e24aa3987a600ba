#include "labelquorum/graphs.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "graph_check.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t grain = 4096;

template <class Weight>
struct Edge {
    std::int64_t target;
    Weight weight;
};

// Lists of k neighbors each, read as the rows of a graph.
template <class Weight>
struct NeighborLists {
    const std::int64_t* neighbors;
    const Weight* distances;
    std::size_t n_nodes;
    std::size_t k;

    std::size_t begin(std::size_t node) const { return node * k; }
    std::size_t end(std::size_t node) const { return (node + 1) * k; }
    Edge<Weight> edge(std::size_t e) const {
        return {static_cast<std::int64_t>(target_of(neighbors, e, n_nodes)), distances[e]};
    }
};

template <class Index, class Weight>
struct CsrRows {
    GraphView<Index, Weight> graph;
    std::size_t n_nodes = graph.n_nodes;

    std::size_t begin(std::size_t node) const {
        return static_cast<std::size_t>(graph.indptr[node]);
    }
    std::size_t end(std::size_t node) const {
        return static_cast<std::size_t>(graph.indptr[node + 1]);
    }
    Edge<Weight> edge(std::size_t e) const {
        return {static_cast<std::int64_t>(target(e)), graph.weights[e]};
    }
    std::size_t target(std::size_t e) const { return target_of(graph.indices, e, n_nodes); }
};

// Adds up the weights of edges with the same target, which are next to each other.
template <class Weight>
void merge_repeated(std::vector<Edge<Weight>>& row) {
    std::size_t n = 0;
    for (const Edge<Weight>& edge : row) {
        if (n > 0 && row[n - 1].target == edge.target) {
            row[n - 1].weight += edge.weight;
        } else {
            row[n++] = edge;
        }
    }
    row.resize(n);
}

template <class Weight>
Weight combined(Weight a, Weight b, Combine combine) {
    if (combine == Combine::larger) return std::max(a, b);
    return combine == Combine::smaller ? std::min(a, b) : a + b;
}

// Calls f(edge) for the edges of a node in the order of their targets. `out` are the edges of its
// row, `in` those that lead to it, with their source as the target. Both are sorted.
template <class Weight, class F>
void for_each_edge(std::size_t node, const std::vector<Edge<Weight>>& out,
                   const std::vector<Edge<Weight>>& in, Edges edges, Combine combine, F&& f) {
    auto next = in.begin();
    for (const Edge<Weight>& edge : out) {
        for (; next != in.end() && next->target < edge.target; ++next) {
            if (edges == Edges::either) f(*next);
        }
        const bool both = next != in.end() && next->target == edge.target;
        if (both && edge.target != static_cast<std::int64_t>(node)) {
            f(Edge<Weight>{edge.target, combined(edge.weight, next->weight, combine)});
        } else if (both || edges != Edges::mutual) {
            f(edge);
        }
        next += both ? 1 : 0;
    }
    for (; next != in.end() && edges == Edges::either; ++next) f(*next);
}

// Resizes a vector step by step, since writing a large one takes long.
template <class T>
void grow(std::vector<T>& values, std::size_t n, const Executor& executor) {
    values.reserve(n);
    while (values.size() < n) {
        executor.checkpoint();
        values.resize(std::min(n, values.size() + 256 * grain));
    }
}

// Reversed edges: those into node i are [indptr[i], indptr[i + 1]), sorted by source.
template <class Weight>
struct Incoming {
    std::vector<std::size_t> indptr;
    std::vector<Edge<Weight>> edges;
};

template <class Weight, class Rows>
Incoming<Weight> incoming(const Rows& rows, const Executor& executor) {
    Incoming<Weight> result{std::vector<std::size_t>(rows.n_nodes + 1, 0), {}};
    grow(result.edges, rows.end(rows.n_nodes - 1), executor);
    for (std::size_t i = 0; i < rows.n_nodes; ++i) {
        if (i % grain == 0) executor.checkpoint();
        for (std::size_t e = rows.begin(i); e < rows.end(i); ++e) {
            ++result.indptr[static_cast<std::size_t>(rows.edge(e).target) + 1];
        }
    }
    std::partial_sum(result.indptr.begin(), result.indptr.end(), result.indptr.begin());
    std::vector<std::size_t> next(result.indptr.begin(), result.indptr.end() - 1);
    for (std::size_t i = 0; i < rows.n_nodes; ++i) {
        if (i % grain == 0) executor.checkpoint();
        for (std::size_t e = rows.begin(i); e < rows.end(i); ++e) {
            const Edge<Weight> edge = rows.edge(e);
            const auto target = static_cast<std::size_t>(edge.target);
            if (next[target] == result.indptr[target + 1]) throw_changed("graph");
            result.edges[next[target]++] = {static_cast<std::int64_t>(i), edge.weight};
        }
    }
    return result;
}

// The graph of rows that have been checked.
template <class Index, class Weight, class Rows>
Graph<Index, Weight> build(const Rows& rows, Edges edges, Combine combine, bool loops,
                           const Executor& executor) {
    const std::size_t n_nodes = rows.n_nodes;
    executor.require_memory(3 * rows.end(n_nodes - 1) * sizeof(Edge<Weight>), "the graph");
    Incoming<Weight> into{std::vector<std::size_t>(n_nodes + 1, 0), {}};
    if (edges != Edges::directed) into = incoming<Weight>(rows, executor);

    // Calls f(node, edge) for the edges of nodes [begin, end).
    const auto for_each_edge_of = [&](std::size_t begin, std::size_t end, auto&& f) {
        std::vector<Edge<Weight>> out;
        std::vector<Edge<Weight>> in;
        for (std::size_t node = begin; node < end; ++node) {
            const auto add = [&](std::vector<Edge<Weight>>& row, const Edge<Weight>& edge) {
                if (loops || edge.target != static_cast<std::int64_t>(node)) row.push_back(edge);
            };
            out.clear();
            for (std::size_t e = rows.begin(node); e < rows.end(node); ++e) add(out, rows.edge(e));
            // Stable, so that weights are added up in the order of the input.
            std::stable_sort(
                out.begin(), out.end(),
                [](const Edge<Weight>& a, const Edge<Weight>& b) { return a.target < b.target; });
            in.clear();
            for (std::size_t e = into.indptr[node]; e < into.indptr[node + 1]; ++e) {
                add(in, into.edges[e]);
            }
            merge_repeated(out);
            merge_repeated(in);
            for_each_edge(node, out, in, edges, combine,
                          [&](const Edge<Weight>& edge) { f(node, edge); });
        }
    };

    std::vector<std::size_t> ends(n_nodes + 1, 0);
    executor.run_ranges(n_nodes, grain, [&](std::size_t begin, std::size_t end, int) {
        for_each_edge_of(begin, end,
                         [&](std::size_t node, const Edge<Weight>&) { ++ends[node + 1]; });
    });
    std::partial_sum(ends.begin(), ends.end(), ends.begin());
    if (ends.back() > static_cast<std::size_t>(std::numeric_limits<Index>::max())) {
        throw std::length_error(
            "graph must have at most " + std::to_string(std::numeric_limits<Index>::max()) +
            " edges for this type of indices, got " + std::to_string(ends.back()) + ".");
    }
    Graph<Index, Weight> graph{std::vector<Index>(n_nodes + 1), {}, {}};
    grow(graph.indices, ends.back(), executor);
    grow(graph.weights, ends.back(), executor);
    std::transform(ends.begin(), ends.end(), graph.indptr.begin(),
                   [](std::size_t end) { return static_cast<Index>(end); });
    executor.run_ranges(n_nodes, grain, [&](std::size_t begin, std::size_t end, int) {
        std::size_t at = ends[begin];
        for_each_edge_of(begin, end, [&](std::size_t node, const Edge<Weight>& edge) {
            if (at == ends[node + 1]) throw_changed("graph");
            graph.indices[at] = static_cast<Index>(edge.target);
            graph.weights[at] = edge.weight;
            ++at;
        });
        if (at != ends[end]) throw_changed("graph");
    });
    return graph;
}

// The smallest node of the set that `node` is in. Halves the path on the way.
template <class Index>
Index root(std::vector<Index>& parents, Index node) {
    const auto parent = [&](Index of) {
        return std::atomic_ref(parents[static_cast<std::size_t>(of)]);
    };
    while (true) {
        Index up = parent(node).load(std::memory_order_relaxed);
        if (up == node) return node;
        const Index next = parent(up).load(std::memory_order_relaxed);
        if (up != next) parent(node).compare_exchange_weak(up, next, std::memory_order_relaxed);
        node = next;
    }
}

// The larger root goes under the smaller one, so that the order of threads does not matter.
template <class Index>
void unite(std::vector<Index>& parents, Index a, Index b) {
    while (true) {
        a = root(parents, a);
        b = root(parents, b);
        if (a == b) return;
        if (a < b) std::swap(a, b);
        Index expected = a;
        if (std::atomic_ref(parents[static_cast<std::size_t>(a)])
                .compare_exchange_strong(expected, b, std::memory_order_relaxed)) {
            return;
        }
    }
}

}  // namespace

template <class Index>
void check_graph(const Index* indptr, const Index* indices, std::size_t n_nodes,
                 const Executor& executor) {
    if (n_nodes == 0) throw std::invalid_argument("graph must have at least 1 node, got 0.");
    if (indptr[0] != 0 || !std::is_sorted(indptr, indptr + n_nodes + 1)) {
        throw std::invalid_argument("graph must be valid CSR: indptr must ascend from 0.");
    }
    const auto n_edges = static_cast<std::size_t>(indptr[n_nodes]);
    executor.run_ranges(n_edges, 16 * grain, [&](std::size_t begin, std::size_t end, int) {
        Index least = 0;
        Index most = 0;
        for (std::size_t e = begin; e < end; ++e) {
            least = std::min(least, indices[e]);
            most = std::max(most, indices[e]);
        }
        if (least >= 0 && static_cast<std::size_t>(most) < n_nodes) return;
        throw std::invalid_argument("graph must have nodes from 0 to " +
                                    std::to_string(n_nodes - 1) + ", got an edge to node " +
                                    std::to_string(least < 0 ? least : most) + ".");
    });
}

namespace {

template <class Weight>
bool is_wanted(Weight weight, Weights wanted) {
    switch (wanted) {
        case Weights::finite: return weight >= 0 && std::isfinite(weight);
        case Weights::up_to_1e30: return weight >= 0 && static_cast<double>(weight) <= 1e30;
        default: return !std::isnan(weight);
    }
}

const char* words_for(Weights wanted) {
    switch (wanted) {
        case Weights::finite: return "finite weights of at least 0";
        case Weights::up_to_1e30: return "weights from 0 to 1e30";
        default: return "weights that are numbers";
    }
}

template <class Weight>
std::string in_words(Weight weight) {
    return std::isnan(weight) ? "NaN" : std::to_string(weight);
}

}  // namespace

template <class Index, class Weight>
void check_weights(const GraphView<Index, Weight>& graph, Weights wanted, bool loops,
                   const Executor& executor) {
    const auto n_edges = static_cast<std::size_t>(graph.indptr[graph.n_nodes]);
    executor.run_ranges(n_edges, 16 * grain, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t e = begin; e < end; ++e) {
            const Weight weight = read_once(graph.weights + e);
            if (is_wanted(weight, wanted)) continue;
            const Index* row_end = std::upper_bound(graph.indptr, graph.indptr + graph.n_nodes + 1,
                                                    static_cast<Index>(e));
            const auto node = static_cast<std::size_t>(row_end - graph.indptr) - 1;
            const std::size_t target = target_of(graph.indices, e, graph.n_nodes);
            if (!loops && target == node) continue;
            throw std::invalid_argument(std::string("graph must have ") + words_for(wanted) +
                                        ", got an edge of weight " + in_words(weight) +
                                        " from node " + std::to_string(node) + " to node " +
                                        std::to_string(target) + ".");
        }
    });
}

template <class Index, class Weight>
Graph<Index, Weight> neighbor_graph(const std::int64_t* neighbors, const Weight* distances,
                                    std::size_t n_nodes, std::size_t k, Edges edges,
                                    const Executor& executor) {
    executor.stage("graph");
    executor.run_ranges(n_nodes * k, grain, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t e = begin; e < end; ++e) {
            if (neighbors[e] >= 0 && std::cmp_less(neighbors[e], n_nodes)) continue;
            throw std::invalid_argument(
                "neighbors must hold nodes from 0 to " + std::to_string(n_nodes - 1) + ", got " +
                std::to_string(neighbors[e]) + " for node " + std::to_string(e / k) + ".");
        }
    });
    if (n_nodes == 0) return {{0}, {}, {}};
    const NeighborLists<Weight> rows{neighbors, distances, n_nodes, k};
    return build<Index, Weight>(rows, edges, Combine::larger, true, executor);
}

template <class Index, class Weight>
Graph<Index, Weight> symmetrized_graph(const GraphView<Index, Weight>& graph, Edges edges,
                                       Combine combine, bool loops, const Executor& executor) {
    executor.stage("graph");
    check_graph(graph.indptr, graph.indices, graph.n_nodes, executor);
    check_weights(graph, Weights::numbers, loops, executor);
    return build<Index, Weight>(CsrRows<Index, Weight>{graph}, edges, combine, loops, executor);
}

template <class Index, class Weight>
std::vector<Weight> normalized_weights(const GraphView<Index, Weight>& graph,
                                       Normalization normalization, bool loops,
                                       const Executor& executor) {
    executor.stage("degrees");
    const std::size_t n = graph.n_nodes;
    check_graph(graph.indptr, graph.indices, n, executor);
    check_weights(graph, Weights::finite, loops, executor);
    const auto n_edges = static_cast<std::size_t>(graph.indptr[n]);
    const CsrRows<Index, Weight> rows{graph};
    const auto weight = [&](std::size_t node, std::size_t target, std::size_t e) {
        return loops || target != node ? static_cast<double>(graph.weights[e]) : 0.0;
    };
    const bool symmetric = normalization == Normalization::symmetric;
    std::vector<double> degrees(n, 0.0);
    if (symmetric) {
        // Serial, because the order of summation affects the result.
        for (std::size_t i = 0; i < n; ++i) {
            if (i % grain == 0) executor.checkpoint();
            for (std::size_t e = rows.begin(i); e < rows.end(i); ++e) {
                const std::size_t target = rows.target(e);
                degrees[target] += weight(i, target, e);
            }
        }
        for (double& degree : degrees) degree = degree > 0 ? std::sqrt(degree) : 1.0;
    }
    std::vector<Weight> weights(n_edges);
    executor.run_ranges(n, grain, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) {
            if (!symmetric) {
                double degree = 0;
                for (std::size_t e = rows.begin(i); e < rows.end(i); ++e) {
                    degree += weight(i, rows.target(e), e);
                }
                degrees[i] = degree > 0 ? degree : 1.0;
            }
            for (std::size_t e = rows.begin(i); e < rows.end(i); ++e) {
                const std::size_t target = rows.target(e);
                double share = weight(i, target, e) / degrees[i];
                if (symmetric) share /= degrees[target];
                weights[e] = static_cast<Weight>(share);
            }
        }
    });
    return weights;
}

template <class Index>
std::vector<Index> connected_components(const Index* indptr, const Index* indices,
                                        std::size_t n_nodes, const Executor& executor) {
    executor.stage("components");
    check_graph(indptr, indices, n_nodes, executor);
    if (n_nodes - 1 > static_cast<std::size_t>(std::numeric_limits<Index>::max())) {
        throw std::length_error(
            "graph must have at most as many nodes as its type of indices can "
            "number, got " +
            std::to_string(n_nodes) + ".");
    }
    std::vector<Index> components(n_nodes);  // at first the parent of each node
    std::iota(components.begin(), components.end(), Index{0});
    executor.run_ranges(n_nodes, grain, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) {
            const auto row_end = static_cast<std::size_t>(indptr[i + 1]);
            for (auto e = static_cast<std::size_t>(indptr[i]); e < row_end; ++e) {
                const std::size_t target = target_of(indices, e, n_nodes);
                unite(components, static_cast<Index>(i), static_cast<Index>(target));
            }
        }
    });
    // A parent is never larger than its child, so it has its number already.
    Index n_components = 0;
    for (std::size_t i = 0; i < n_nodes; ++i) {
        const auto parent = static_cast<std::size_t>(components[i]);
        components[i] = parent == i ? n_components++ : components[parent];
    }
    return components;
}

#define LABELQUORUM_INSTANTIATE(Index, Weight)                                                    \
    template Graph<Index, Weight> neighbor_graph(const std::int64_t*, const Weight*, std::size_t, \
                                                 std::size_t, Edges, const Executor&);            \
    template Graph<Index, Weight> symmetrized_graph(const GraphView<Index, Weight>&, Edges,       \
                                                    Combine, bool, const Executor&);              \
    template std::vector<Weight> normalized_weights(const GraphView<Index, Weight>&,              \
                                                    Normalization, bool, const Executor&);        \
    template void check_weights(const GraphView<Index, Weight>&, Weights, bool, const Executor&);
LABELQUORUM_INSTANTIATE(std::int32_t, float)
LABELQUORUM_INSTANTIATE(std::int32_t, double)
LABELQUORUM_INSTANTIATE(std::int64_t, float)
LABELQUORUM_INSTANTIATE(std::int64_t, double)
#undef LABELQUORUM_INSTANTIATE

template void check_graph(const std::int32_t*, const std::int32_t*, std::size_t, const Executor&);
template void check_graph(const std::int64_t*, const std::int64_t*, std::size_t, const Executor&);
template std::vector<std::int32_t> connected_components(const std::int32_t*, const std::int32_t*,
                                                        std::size_t, const Executor&);
template std::vector<std::int64_t> connected_components(const std::int64_t*, const std::int64_t*,
                                                        std::size_t, const Executor&);

}  // namespace labelquorum
