#include "labelquorum/correlation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "correlation_problem.hpp"
#include "correlation_solver.hpp"
#include "graph_check.hpp"
#include "links.hpp"

namespace labelquorum {
namespace {

// Disjoint sets of nodes.
class Sets {
public:
    explicit Sets(std::size_t n) : parents_(singletons(n)) {}

    Node find(Node v) {
        while (parents_[v] != v) v = parents_[v] = parents_[parents_[v]];
        return v;
    }
    void unite(Node a, Node b) {
        a = find(a);
        b = find(b);
        if (a != b) parents_[std::max(a, b)] = std::min(a, b);
    }

private:
    Labels parents_;
};

void check_sizes(std::span<const std::int32_t> groups, std::size_t n) {
    constexpr auto max_nodes = static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max());
    if (n > max_nodes) {
        throw std::invalid_argument("weights must have at most " + std::to_string(max_nodes) +
                                    " nodes, got " + std::to_string(n) + ".");
    }
    if (!groups.empty() && groups.size() != n) {
        throw std::invalid_argument("groups must have one value per node, " + std::to_string(n) +
                                    ", got " + std::to_string(groups.size()) + ".");
    }
}

template <class Real>
void check_weight(Real weight, std::size_t v, std::size_t u) {
    if (!(weight < std::numeric_limits<Real>::infinity())) {
        throw std::invalid_argument("weights must be finite or -infinity, got " +
                                    std::to_string(weight) + " between nodes " + std::to_string(v) +
                                    " and " + std::to_string(u) + ".");
    }
}

// The nodes of each part of the input that positive weights connect.
struct Parts {
    explicit Parts(Sets& connected, std::size_t n) : part_of(n), numbers(n) {
        for (Node v = 0; v < n; ++v) part_of[v] = connected.find(v);
        nodes.resize(renumber(part_of));
        for (Node v = 0; v < n; ++v) {
            numbers[v] = static_cast<Node>(nodes[part_of[v]].size());
            nodes[part_of[v]].push_back(v);
        }
    }

    std::vector<Node> part_of;             // the part of each node
    std::vector<Node> numbers;             // the number of each node in its part
    std::vector<std::vector<Node>> nodes;  // of each part

    std::vector<Node> largest_first() const {
        std::vector<Node> order = singletons(nodes.size());
        std::stable_sort(order.begin(), order.end(),
                         [&](Node a, Node b) { return nodes[a].size() > nodes[b].size(); });
        return order;
    }
};

// Solves each part on its own, in parallel. make_problem(nodes) makes its problem.
template <class MakeProblem>
std::vector<std::int32_t> solve(const Parts& parts, std::span<const std::int32_t> groups,
                                const Executor& executor, const MakeProblem& make_problem) {
    Labels labels(parts.part_of.size());
    const std::vector<Node> order = parts.largest_first();
    executor.stage("correlation clustering");
    executor.run(order.size(), [&](std::size_t block, int) {
        const std::vector<Node>& nodes = parts.nodes[order[block]];
        if (nodes.size() == 1) {
            labels[nodes[0]] = nodes[0];
            return;
        }
        std::vector<std::int32_t> own_groups(nodes.size(), -1);
        for (std::size_t i = 0; i < nodes.size() && !groups.empty(); ++i) {
            own_groups[i] = std::max(std::int32_t{-1}, groups[nodes[i]]);
        }
        const auto problem = make_problem(nodes);
        using Problem = std::decay_t<decltype(problem)>;
        const Labels clusters =
            CorrelationSolver<Problem>(problem, std::move(own_groups), executor).run();
        std::vector<Node> first_nodes(nodes.size(), no_node);  // of the clusters
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            Node& first_node = first_nodes[clusters[i]];
            if (first_node == no_node) first_node = nodes[i];
            labels[nodes[i]] = first_node;
        }
    });
    renumber(labels);
    return {labels.begin(), labels.end()};
}

}  // namespace

template <class Real>
std::vector<std::int32_t> correlation_clustering(const DenseWeights<Real>& weights,
                                                 std::span<const std::int32_t> groups,
                                                 const Executor& executor) {
    const std::size_t n = weights.n_nodes;
    check_sizes(groups, n);
    Sets connected(n);
    for (Node v = 0; v < n; ++v) {
        if (v % 64 == 0) executor.checkpoint();
        const Real* row = weights.weights + v * n;
        for (Node u = 0; u < v; ++u) {
            check_weight(row[u], v, u);
            if (row[u] > 0) connected.unite(u, v);
        }
    }
    return solve(Parts(connected, n), groups, executor, [&](const std::vector<Node>& nodes) {
        return DenseProblem<Real>(weights, nodes);
    });
}

template <class Index, class Real>
std::vector<std::int32_t> correlation_clustering(const GraphView<Index, Real>& graph,
                                                 std::span<const std::int32_t> groups,
                                                 const Executor& executor) {
    const std::size_t n = graph.n_nodes;
    check_graph(graph.indptr, graph.indices, n, executor);
    check_sizes(groups, n);
    Sets connected(n);
    for (std::size_t v = 0; v < n; ++v) {
        const auto end = static_cast<std::size_t>(graph.indptr[v + 1]);
        for (auto e = static_cast<std::size_t>(graph.indptr[v]); e < end; ++e) {
            const std::size_t u = target_of(graph.indices, e, n);
            if (u == v) continue;
            check_weight(graph.weights[e], v, u);
            if (graph.weights[e] > 0) connected.unite(static_cast<Node>(u), static_cast<Node>(v));
        }
    }
    const Parts parts(connected, n);
    return solve(parts, groups, executor, [&](const std::vector<Node>& nodes) {
        return SparseProblem(graph, nodes, parts.numbers, parts.part_of);
    });
}

#define LABELQUORUM_INSTANTIATE(Weights)                       \
    template std::vector<std::int32_t> correlation_clustering( \
        const Weights&, std::span<const std::int32_t>, const Executor&);
#define LABELQUORUM_INSTANTIATE_GRAPH(Index, Real)             \
    template std::vector<std::int32_t> correlation_clustering( \
        const GraphView<Index, Real>&, std::span<const std::int32_t>, const Executor&);
LABELQUORUM_INSTANTIATE(DenseWeights<float>)
LABELQUORUM_INSTANTIATE(DenseWeights<double>)
LABELQUORUM_INSTANTIATE_GRAPH(std::int32_t, float)
LABELQUORUM_INSTANTIATE_GRAPH(std::int32_t, double)
LABELQUORUM_INSTANTIATE_GRAPH(std::int64_t, float)
LABELQUORUM_INSTANTIATE_GRAPH(std::int64_t, double)
#undef LABELQUORUM_INSTANTIATE
#undef LABELQUORUM_INSTANTIATE_GRAPH

}  // namespace labelquorum
