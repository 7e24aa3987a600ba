// Problems of correlation clustering: nodes numbered from 0, and the weights between them.
//
// A problem holds the nodes of one part of the input that positive weights connect. It calls
// body(u, weight) for the nodes u that have a weight to v, v itself left out.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "graph_check.hpp"
#include "labelquorum/correlation.hpp"
#include "links.hpp"

namespace labelquorum {

// Reads the matrix that it is a part of.
template <class Real>
class DenseProblem {
public:
    using Weight = Real;
    static constexpr bool is_dense = true;

    DenseProblem(const DenseWeights<Real>& matrix, std::vector<Node> nodes)
        : matrix_(matrix), nodes_(std::move(nodes)) {}

    std::size_t size() const { return nodes_.size(); }

    template <class Body>
    void for_each(Node v, const Body& body) const {
        const Real* row = matrix_.weights + nodes_[v] * matrix_.n_nodes;
        for (Node u = 0; u < nodes_.size(); ++u) {
            if (u != v) body(u, static_cast<double>(row[nodes_[u]]));
        }
    }

    double weight(Node v, Node u) const {
        return static_cast<double>(matrix_.weights[nodes_[v] * matrix_.n_nodes + nodes_[u]]);
    }

private:
    const DenseWeights<Real>& matrix_;
    std::vector<Node> nodes_;
};

// A copy, so that one class serves graphs of all types and a node's edges are contiguous.
class SparseProblem {
public:
    using Weight = double;
    static constexpr bool is_dense = false;

    // For every node of the graph, part_of says which problem it belongs to and numbers says its
    // number there.
    template <class Index, class Real>
    SparseProblem(const GraphView<Index, Real>& graph, const std::vector<Node>& nodes,
                  const std::vector<Node>& numbers, const std::vector<Node>& part_of) {
        ends_.reserve(nodes.size());
        for (const Node node : nodes) {
            const auto end = static_cast<std::size_t>(graph.indptr[node + 1]);
            for (auto e = static_cast<std::size_t>(graph.indptr[node]); e < end; ++e) {
                const auto target = static_cast<Node>(target_of(graph.indices, e, graph.n_nodes));
                if (target == node || part_of[target] != part_of[node]) continue;
                edges_.emplace_back(numbers[target], static_cast<double>(graph.weights[e]));
            }
            ends_.push_back(edges_.size());
        }
    }

    std::size_t size() const { return ends_.size(); }

    template <class Body>
    void for_each(Node v, const Body& body) const {
        for (std::size_t e = v == 0 ? 0 : ends_[v - 1]; e < ends_[v]; ++e) {
            body(edges_[e].first, edges_[e].second);
        }
    }

private:
    std::vector<std::pair<Node, double>> edges_;
    std::vector<std::size_t> ends_;  // of each node's edges
};

}  // namespace labelquorum
