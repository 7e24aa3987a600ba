// Clusters of a graph's nodes as labels, and the weights that link a node to clusters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace labelquorum {

using Node = std::uint32_t;
using Labels = std::vector<Node>;  // the cluster of each node

inline constexpr Node no_node = static_cast<Node>(-1);

// Each node in a cluster of its own.
inline Labels singletons(std::size_t n) {
    Labels labels(n);
    std::iota(labels.begin(), labels.end(), Node{0});
    return labels;
}

// Numbers clusters from 0 in the order of their first nodes and returns how many there are. Labels
// must be below labels.size().
inline std::size_t renumber(Labels& labels) {
    std::vector<Node> numbers(labels.size(), no_node);
    Node n = 0;
    for (Node& label : labels) {
        if (numbers[label] == no_node) numbers[label] = n++;
        label = numbers[label];
    }
    return n;
}

// Whether nodes of these groups may share a cluster. A negative group means none.
inline bool may_join(std::int32_t first, std::int32_t second) {
    return first < 0 || second < 0 || first == second;
}

// The weights of one node's edges, summed by the cluster that they lead to.
class Links {
public:
    explicit Links(std::size_t n_clusters) : weights_(n_clusters, 0.0), is_linked_(n_clusters, 0) {}

    void clear() {
        for (const Node cluster : clusters_) {
            weights_[cluster] = 0;
            is_linked_[cluster] = 0;
        }
        clusters_.clear();
    }

    void add(Node cluster, double weight) {
        if (is_linked_[cluster] == 0) {
            is_linked_[cluster] = 1;
            clusters_.push_back(cluster);
        }
        weights_[cluster] += weight;
    }

    // The clusters that have been added, in that order.
    const std::vector<Node>& clusters() const { return clusters_; }
    double weight(Node cluster) const { return weights_[cluster]; }

private:
    std::vector<double> weights_;
    std::vector<std::uint8_t> is_linked_;
    std::vector<Node> clusters_;
};

}  // namespace labelquorum
