// Solves one problem of correlation clustering by local search.
//
// Starts from every node alone and repeats, until none of these helps or too many weights have been
// read: join clusters (contraction.hpp), move single nodes, move sequences of nodes between two
// clusters. Small problems are then solved again from results in which some clusters were
// dissolved, and the best result is kept.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

#include "contraction.hpp"
#include "correlation_problem.hpp"
#include "labelquorum/executor.hpp"
#include "links.hpp"

namespace labelquorum {

// Clusters while single nodes move between them.
class MovingClusters {
public:
    // groups: of the nodes. Renumbers `labels` and keeps them up to date.
    MovingClusters(Labels& labels, const std::vector<std::int32_t>& groups)
        : labels_(labels), groups_(groups) {
        const std::size_t n_clusters = renumber(labels);
        const std::size_t n = labels.size();
        sizes_.assign(n + 1, 0);
        n_grouped_.assign(n + 1, 0);
        cluster_groups_.assign(n + 1, -1);
        for (Node v = 0; v < n; ++v) {
            ++sizes_[labels[v]];
            if (groups[v] < 0) continue;
            ++n_grouped_[labels[v]];
            cluster_groups_[labels[v]] = groups[v];
        }
        for (std::size_t c = n + 1; c-- > n_clusters;) empty_.push_back(static_cast<Node>(c));
    }

    std::size_t size(Node cluster) const { return sizes_[cluster]; }
    Node empty_cluster() const { return empty_.back(); }
    bool may_take(Node cluster, Node v) const {
        return may_join(groups_[v], cluster_groups_[cluster]);
    }

    void move(Node v, Node cluster) {
        const Node old_cluster = labels_[v];
        if (cluster == empty_.back()) empty_.pop_back();
        labels_[v] = cluster;
        ++sizes_[cluster];
        if (groups_[v] >= 0) {
            cluster_groups_[cluster] = groups_[v];
            ++n_grouped_[cluster];
            if (--n_grouped_[old_cluster] == 0) cluster_groups_[old_cluster] = -1;
        }
        if (--sizes_[old_cluster] == 0) empty_.push_back(old_cluster);
    }

private:
    Labels& labels_;
    const std::vector<std::int32_t>& groups_;
    std::vector<std::size_t> sizes_;
    std::vector<std::size_t> n_grouped_;  // nodes with a group
    std::vector<std::int32_t> cluster_groups_;
    std::vector<Node> empty_;  // clusters without nodes; there is always one
};

template <class Problem>
class CorrelationSolver {
public:
    // groups: of the nodes.
    CorrelationSolver(const Problem& problem, std::vector<std::int32_t> groups,
                      const Executor& executor)
        : problem_(problem),
          groups_(std::move(groups)),
          executor_(executor),
          links_(problem.size() + 1) {
        for (Node v = 0; v < problem.size(); ++v) {
            double total = 0;
            problem.for_each(v, [&](Node, double weight) {
                if (std::isfinite(weight)) total += std::abs(weight);
            });
            least_gains_.push_back(rounding * total);
        }
    }

    Labels run() {
        const std::size_t n = problem_.size();
        Labels best = singletons(n);
        improve(best);
        double best_value = weight_within(best);
        std::mt19937_64 random(n);  // so that the result does not depend on other problems
        std::size_t n_restarts = max_restarts;
        if (n > few_nodes) n_restarts = n_restarts * few_nodes / n * few_nodes / n;
        for (std::size_t i = 0; i < n_restarts && n > 2; ++i) {
            executor_.checkpoint();
            Labels labels = best;
            dissolve(labels, random);
            improve(labels);
            const double value = weight_within(labels);
            if (value > best_value + rounding * std::abs(best_value)) {
                best_value = value;
                best = std::move(labels);
            }
        }
        return best;
    }

private:
    using Members = std::vector<std::vector<Node>>;  // the nodes of each cluster

    static constexpr double rounding = 1e-9;     // smaller gains, as a share of weights, are none
    static constexpr std::size_t patience = 32;  // moves of a sequence without a new best
    static constexpr std::size_t max_restarts = 50;
    static constexpr std::size_t few_nodes = 200;  // larger problems get fewer restarts
    static constexpr std::size_t max_passes = 100;
    static constexpr std::size_t max_reads = 200'000'000;  // of weights, by moves: a few seconds

    bool may_read_more() const { return n_reads_ < max_reads; }

    // The value to be maximized.
    double weight_within(const Labels& labels) const {
        double sum = 0;
        for (Node v = 0; v < problem_.size(); ++v) {
            problem_.for_each(v, [&](Node u, double weight) {
                if (u < v && labels[u] == labels[v]) sum += weight;
            });
        }
        return sum;
    }

    void improve(Labels& labels) {
        join_clusters(labels);
        for (std::size_t pass = 0; pass < max_passes && may_read_more(); ++pass) {
            const bool nodes_moved = move_nodes(labels);
            const bool sequences_moved = move_sequences(labels);
            const bool clusters_joined = join_clusters(labels);
            if (!nodes_moved && !sequences_moved && !clusters_joined) break;
        }
    }

    // Takes nodes out of up to three random clusters. Each moves to a random cluster or is alone.
    void dissolve(Labels& labels, std::mt19937_64& random) const {
        const std::size_t n_clusters = renumber(labels);
        std::vector<std::int32_t> cluster_groups = groups_of_clusters(labels, n_clusters);
        std::vector<std::uint8_t> is_dissolved(n_clusters, 0);
        const std::size_t n_dissolved = std::min<std::size_t>(n_clusters, 1 + random() % 3);
        for (std::size_t i = 0; i < n_dissolved; ++i) is_dissolved[random() % n_clusters] = 1;
        const std::size_t one_in = 1 + random() % 3;
        for (Node v = 0; v < labels.size(); ++v) {
            if (labels[v] >= n_clusters || is_dissolved[labels[v]] == 0) continue;
            if (random() % one_in != 0) continue;
            const Node target = labels[random() % labels.size()];
            if (random() % 2 == 0 && may_join(groups_[v], cluster_groups[target])) {
                labels[v] = target;
                cluster_groups[target] = std::max(cluster_groups[target], groups_[v]);
            } else {
                labels[v] = static_cast<Node>(cluster_groups.size());
                cluster_groups.push_back(groups_[v]);
            }
        }
        compact(labels);
    }

    // Makes any labels less than the number of nodes.
    static void compact(Labels& labels) {
        std::unordered_map<Node, Node> numbers;
        for (Node& label : labels) {
            label = numbers.try_emplace(label, static_cast<Node>(numbers.size())).first->second;
        }
    }

    std::vector<std::int32_t> groups_of_clusters(const Labels& labels,
                                                 std::size_t n_clusters) const {
        std::vector<std::int32_t> cluster_groups(n_clusters, -1);
        for (Node v = 0; v < labels.size(); ++v) {
            cluster_groups[labels[v]] = std::max(cluster_groups[labels[v]], groups_[v]);
        }
        return cluster_groups;
    }

    // --- joining clusters

    bool join_clusters(Labels& labels) {
        const std::size_t n_before = renumber(labels);
        std::vector<std::int32_t> cluster_groups = groups_of_clusters(labels, n_before);
        Labels joined;
        if constexpr (Problem::is_dense) {
            auto weights = dense_weights_between(labels, cluster_groups);
            joined = DenseContraction<typename Problem::Weight>(
                         std::move(weights), std::move(cluster_groups), executor_)
                         .run();
        } else {
            joined = SparseContraction(sparse_weights_between(labels, n_before),
                                       std::move(cluster_groups), executor_)
                         .run();
        }
        for (Node& label : labels) label = joined[label];
        return renumber(labels) < n_before;
    }

    auto dense_weights_between(const Labels& labels,
                               const std::vector<std::int32_t>& cluster_groups) const {
        using Real = typename Problem::Weight;
        const std::size_t n = cluster_groups.size();
        executor_.require_memory(n * n * sizeof(Real), "weights between clusters");
        std::vector<Real> weights(n * n, Real{0});
        for (Node v = 0; v < labels.size(); ++v) {
            Real* row = weights.data() + labels[v] * n;
            problem_.for_each(
                v, [&](Node u, double weight) { row[labels[u]] += static_cast<Real>(weight); });
        }
        for (std::size_t a = 0; a < n; ++a) {
            for (std::size_t b = 0; b < a; ++b) {
                Real& lower = weights[a * n + b];
                Real& upper = weights[b * n + a];
                // The two were summed, and so rounded, in different orders.
                lower = may_join(cluster_groups[a], cluster_groups[b])
                            ? (lower + upper) / 2
                            : -std::numeric_limits<Real>::infinity();
                upper = lower;
            }
        }
        return weights;
    }

    SparseContraction::Weights sparse_weights_between(const Labels& labels,
                                                      std::size_t n_clusters) const {
        SparseContraction::Weights weights(n_clusters);
        for (Node v = 0; v < labels.size(); ++v) {
            problem_.for_each(v, [&](Node u, double weight) {
                if (u >= v || labels[u] == labels[v]) return;
                const auto [a, b] = std::minmax(labels[u], labels[v]);
                weights[a][b] += weight;
            });
        }
        for (Node a = 0; a < n_clusters; ++a) {
            for (const auto& [b, weight] : weights[a]) {
                if (a < b) weights[b][a] = weight;
            }
        }
        return weights;
    }

    // --- moving single nodes

    // Moves each node to the cluster it has most weight to, or to one of its own, until none gains.
    bool move_nodes(Labels& labels) {
        MovingClusters clusters(labels, groups_);
        bool any_moved = false;
        for (std::size_t pass = 0; pass < max_passes && may_read_more(); ++pass) {
            bool moved = false;
            for (Node v = 0; v < labels.size(); ++v) {
                if (v % 256 == 0) executor_.checkpoint();
                const Node best = best_cluster(v, labels, clusters);
                if (best == labels[v]) continue;
                clusters.move(v, best);
                moved = true;
            }
            if (!moved) break;
            any_moved = true;
        }
        compact(labels);
        return any_moved;
    }

    Node best_cluster(Node v, const Labels& labels, const MovingClusters& clusters) {
        const Node own = labels[v];
        links_.clear();
        problem_.for_each(v, [&](Node u, double weight) {
            links_.add(labels[u], weight);
            ++n_reads_;
        });
        Node best = own;
        double most_weight = links_.weight(own) + least_gains_[v];
        if (clusters.size(own) > 1 && most_weight < 0) {
            best = clusters.empty_cluster();
            most_weight = 0;
        }
        for (const Node cluster : links_.clusters()) {
            if (cluster == own || !clusters.may_take(cluster, v)) continue;
            if (links_.weight(cluster) > most_weight) {
                best = cluster;
                most_weight = links_.weight(cluster);
            }
        }
        return best;
    }

    // --- moving sequences of nodes (Kernighan and Lin)

    // Exchanges nodes between each two linked clusters, and between each cluster and an empty one.
    // Pairs in which neither cluster has changed since the last pass are skipped.
    bool move_sequences(Labels& labels) {
        std::size_t n_clusters = renumber(labels);
        const std::size_t n = labels.size();
        Members members(n + 1);
        for (Node v = 0; v < n; ++v) members[labels[v]].push_back(v);
        std::vector<std::uint8_t> is_changed(n + 1, 1);
        bool any_moved = false;
        places_.assign(n, no_node);
        for (std::size_t pass = 0; pass < max_passes && may_read_more(); ++pass) {
            const std::vector<std::uint8_t> was_changed = is_changed;
            std::fill(is_changed.begin(), is_changed.end(), std::uint8_t{0});
            const auto needs_look = [&](Node c) {
                return was_changed[c] != 0 || is_changed[c] != 0;
            };
            bool moved = false;
            const auto n_before = static_cast<Node>(n_clusters);
            for (Node a = 0; a < n_before; ++a) {
                if (members[a].empty()) continue;
                for (const Node b : linked_clusters(members[a], labels)) {
                    if (b <= a || b >= n_before) continue;
                    executor_.checkpoint();
                    if (!needs_look(a) && !needs_look(b)) continue;
                    if (n_reads_ > max_reads || !exchange(a, b, labels, members)) continue;
                    is_changed[a] = is_changed[b] = 1;
                    moved = true;
                }
                if (!needs_look(a) || n_clusters == n) continue;
                if (!exchange(a, static_cast<Node>(n_clusters), labels, members)) continue;
                is_changed[a] = is_changed[n_clusters++] = 1;
                moved = true;
            }
            if (!moved) break;
            any_moved = true;
        }
        compact(labels);
        return any_moved;
    }

    // The clusters that positive weights lead to from these nodes, ascending.
    std::vector<Node> linked_clusters(const std::vector<Node>& nodes, const Labels& labels) {
        links_.clear();
        for (const Node v : nodes) {
            problem_.for_each(v, [&](Node u, double weight) {
                if (weight > 0) links_.add(labels[u], weight);
                ++n_reads_;
            });
        }
        std::vector<Node> clusters = links_.clusters();
        std::sort(clusters.begin(), clusters.end());
        return clusters;
    }

    // Two clusters that exchange nodes.
    struct Pair {
        Node a;
        Node b;
        std::vector<Node> nodes;            // of both
        std::vector<double> gains;          // of each node, if it changes sides
        std::vector<std::uint8_t> is_free;  // whether each node may change sides
    };

    // Nodes change sides one after another, always the one that gains most or loses least. The best
    // of the states on the way is kept. Returns whether that changes anything.
    bool exchange(Node a, Node b, Labels& labels, Members& members) {
        if (members[a].size() + members[b].size() < 2) return false;
        Pair pair = make_pair(a, b, labels, members);
        std::vector<std::size_t> order;  // in which nodes change sides
        const std::size_t n_kept = change_sides(pair, labels, order);
        for (std::size_t i = n_kept; i < order.size(); ++i) {
            Node& label = labels[pair.nodes[order[i]]];
            label = label == a ? b : a;
        }
        if (n_kept == 0) return false;
        members[a].clear();
        members[b].clear();
        for (const Node v : pair.nodes) members[labels[v]].push_back(v);
        return true;
    }

    Pair make_pair(Node a, Node b, const Labels& labels, const Members& members) {
        Pair pair{a, b, members[a], {}, {}};
        pair.nodes.insert(pair.nodes.end(), members[b].begin(), members[b].end());
        const std::size_t n = pair.nodes.size();
        pair.gains.assign(n, 0.0);
        pair.is_free.assign(n, 1);
        const std::int32_t group_of_a = group_of(members[a]);
        const std::int32_t group_of_b = group_of(members[b]);
        for (std::size_t i = 0; i < n; ++i) places_[pair.nodes[i]] = static_cast<Node>(i);
        for (std::size_t i = 0; i < n; ++i) {
            const Node v = pair.nodes[i];
            if (!may_join(groups_[v], labels[v] == a ? group_of_b : group_of_a)) {
                pair.is_free[i] = 0;
            }
            for_each_of(pair, v, labels, [&](Node u, double weight) {
                pair.gains[i] += labels[u] == labels[v] ? -weight : weight;
            });
        }
        return pair;
    }

    std::int32_t group_of(const std::vector<Node>& nodes) const {
        std::int32_t group = -1;
        for (const Node v : nodes) group = std::max(group, groups_[v]);
        return group;
    }

    // Returns after how many of the moves the state was best.
    std::size_t change_sides(Pair& pair, Labels& labels, std::vector<std::size_t>& order) {
        double gain = 0;
        double best_gain = 0;
        std::size_t n_best = 0;
        while (order.size() < pair.nodes.size() && order.size() < n_best + patience) {
            const std::size_t i = next_to_move(pair);
            if (i == pair.nodes.size()) break;
            const Node v = pair.nodes[i];
            gain += pair.gains[i];
            pair.is_free[i] = 0;
            order.push_back(i);
            const Node from = labels[v];
            labels[v] = from == pair.a ? pair.b : pair.a;
            for_each_of(pair, v, labels, [&](Node u, double weight) {
                pair.gains[places_[u]] += labels[u] == from ? 2 * weight : -2 * weight;
            });
            if (gain > best_gain + least_gains_[v]) {
                best_gain = gain;
                n_best = order.size();
            }
        }
        return n_best;
    }

    static std::size_t next_to_move(const Pair& pair) {
        std::size_t best = pair.nodes.size();
        for (std::size_t i = 0; i < pair.nodes.size(); ++i) {
            // Two nodes with a weight of -infinity stay on opposite sides.
            if (pair.is_free[i] == 0 || !std::isfinite(pair.gains[i])) continue;
            if (best == pair.nodes.size() || pair.gains[i] > pair.gains[best]) best = i;
        }
        return best;
    }

    // Calls body(u, weight) for the nodes u of the pair that have a weight to v.
    template <class Body>
    void for_each_of(const Pair& pair, Node v, const Labels& labels, const Body& body) {
        if constexpr (Problem::is_dense) {
            n_reads_ += pair.nodes.size();
            for (const Node u : pair.nodes) {
                if (u != v) body(u, problem_.weight(v, u));
            }
        } else {
            problem_.for_each(v, [&](Node u, double weight) {
                if (labels[u] == pair.a || labels[u] == pair.b) body(u, weight);
                ++n_reads_;
            });
        }
    }

    const Problem& problem_;
    std::vector<std::int32_t> groups_;
    const Executor& executor_;
    Links links_;
    std::vector<double> least_gains_;  // of each node: gains up to this are rounding
    std::vector<Node> places_;         // of nodes in the pair at hand
    std::size_t n_reads_ = 0;
};

}  // namespace labelquorum
