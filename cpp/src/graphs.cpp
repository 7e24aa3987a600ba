#include "labelquorum/graphs.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

namespace labelquorum {
namespace {

constexpr std::size_t grain = 4096;

template <class Weight>
struct Edge {
    std::int64_t target;
    Weight weight;
};

// Calls f(edge) for the edges of a row, by target: `out` are those to its neighbours, `in` those
// from the nodes whose neighbour it is; both by target.
template <class Weight, class F>
void for_each_edge(const std::vector<Edge<Weight>>& out, const Edge<Weight>* in,
                   const Edge<Weight>* in_end, Edges edges, F&& f) {
    for (const Edge<Weight>& edge : out) {
        for (; in != in_end && in->target < edge.target; ++in) {
            if (edges == Edges::either) f(*in);
        }
        const bool both = in != in_end && in->target == edge.target;
        if (both || edges != Edges::mutual) f(edge);
        in += both ? 1 : 0;
    }
    for (; in != in_end && edges == Edges::either; ++in) f(*in);
}

// The edges the other way round: those into node i are [indptr[i], indptr[i + 1]), by source.
template <class Weight>
struct Incoming {
    std::vector<std::size_t> indptr;
    std::vector<Edge<Weight>> edges;
};

template <class Weight>
Incoming<Weight> incoming(const std::int64_t* neighbors, const Weight* distances,
                          std::size_t n_nodes, std::size_t k, const Executor& executor) {
    Incoming<Weight> result{std::vector<std::size_t>(n_nodes + 1, 0),
                            std::vector<Edge<Weight>>(n_nodes * k)};
    for (std::size_t e = 0; e < n_nodes * k; ++e) {
        ++result.indptr[static_cast<std::size_t>(neighbors[e]) + 1];
    }
    std::partial_sum(result.indptr.begin(), result.indptr.end(), result.indptr.begin());
    std::vector<std::size_t> next(result.indptr.begin(), result.indptr.end() - 1);
    for (std::size_t i = 0; i < n_nodes; ++i) {
        if (i % grain == 0) executor.checkpoint();
        for (std::size_t e = i * k; e < (i + 1) * k; ++e) {
            result.edges[next[static_cast<std::size_t>(neighbors[e])]++] = {
                static_cast<std::int64_t>(i), distances[e]};
        }
    }
    return result;
}

}  // namespace

template <class Index, class Weight>
Graph<Index, Weight> neighbor_graph(const std::int64_t* neighbors, const Weight* distances,
                                    std::size_t n_nodes, std::size_t k, Edges edges,
                                    const Executor& executor) {
    executor.stage("graph");
    executor.run_ranges(n_nodes * k, grain, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t e = begin; e < end; ++e) {
            if (neighbors[e] >= 0 && neighbors[e] < static_cast<std::int64_t>(n_nodes)) continue;
            throw std::invalid_argument("neighbors: " + std::to_string(neighbors[e]) + " of node " +
                                        std::to_string(e / k) + "; wanted 0 to " +
                                        std::to_string(n_nodes) + " - 1");
        }
    });
    executor.require_memory(3 * n_nodes * k * sizeof(Edge<Weight>), "the graph of neighbours");
    Incoming<Weight> in{std::vector<std::size_t>(n_nodes + 1, 0), {}};
    if (edges != Edges::directed) {
        in = incoming(neighbors, distances, n_nodes, k, executor);
    }
    const auto for_each_edge_of = [&](std::size_t node, std::vector<Edge<Weight>>& out, auto&& f) {
        out.clear();
        for (std::size_t e = node * k; e < (node + 1) * k; ++e) {
            out.push_back({neighbors[e], distances[e]});
        }
        std::sort(out.begin(), out.end(),
                  [](const Edge<Weight>& a, const Edge<Weight>& b) { return a.target < b.target; });
        for_each_edge(out, in.edges.data() + in.indptr[node], in.edges.data() + in.indptr[node + 1],
                      edges, f);
    };

    std::vector<std::size_t> ends(n_nodes + 1, 0);
    executor.run_ranges(n_nodes, grain, [&](std::size_t begin, std::size_t end, int) {
        std::vector<Edge<Weight>> out;
        for (std::size_t i = begin; i < end; ++i) {
            for_each_edge_of(i, out, [&](const Edge<Weight>&) { ++ends[i + 1]; });
        }
    });
    std::partial_sum(ends.begin(), ends.end(), ends.begin());
    if (ends.back() > static_cast<std::size_t>(std::numeric_limits<Index>::max())) {
        throw std::length_error("edges: " + std::to_string(ends.back()) +
                                " do not fit the type of the indices");
    }
    Graph<Index, Weight> graph{std::vector<Index>(n_nodes + 1), std::vector<Index>(ends.back()),
                               std::vector<Weight>(ends.back())};
    std::transform(ends.begin(), ends.end(), graph.indptr.begin(),
                   [](std::size_t end) { return static_cast<Index>(end); });
    executor.run_ranges(n_nodes, grain, [&](std::size_t begin, std::size_t end, int) {
        std::vector<Edge<Weight>> out;
        std::size_t at = ends[begin];
        for (std::size_t i = begin; i < end; ++i) {
            for_each_edge_of(i, out, [&](const Edge<Weight>& edge) {
                graph.indices[at] = static_cast<Index>(edge.target);
                graph.weights[at] = edge.weight;
                ++at;
            });
        }
    });
    return graph;
}

template Graph<std::int32_t, float> neighbor_graph(const std::int64_t*, const float*, std::size_t,
                                                   std::size_t, Edges, const Executor&);
template Graph<std::int32_t, double> neighbor_graph(const std::int64_t*, const double*, std::size_t,
                                                    std::size_t, Edges, const Executor&);
template Graph<std::int64_t, float> neighbor_graph(const std::int64_t*, const float*, std::size_t,
                                                   std::size_t, Edges, const Executor&);
template Graph<std::int64_t, double> neighbor_graph(const std::int64_t*, const double*, std::size_t,
                                                    std::size_t, Edges, const Executor&);

}  // namespace labelquorum
