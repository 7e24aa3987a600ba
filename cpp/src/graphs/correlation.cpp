#include "labelquorum/correlation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <queue>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>

#include "graph_check.hpp"

namespace labelquorum {
namespace {

using Node = std::uint32_t;
using Labels = std::vector<Node>;

constexpr double rounding = 1e-9;     // of a node's weights: gains below are none
constexpr std::size_t patience = 32;  // steps without a new best in a sequence of moves
constexpr std::size_t max_restarts = 50;
constexpr std::size_t few_nodes = 200;  // get so many restarts; larger problems fewer
constexpr std::size_t max_passes = 100;
constexpr std::size_t max_reads = 200'000'000;  // of weights, by moves: some seconds

std::size_t renumber(Labels& labels) {
    constexpr auto none = static_cast<Node>(-1);
    std::vector<Node> numbers(labels.size(), none);
    Node n = 0;
    for (Node& label : labels) {
        if (numbers[label] == none) numbers[label] = n++;
        label = numbers[label];
    }
    return n;
}

bool may_join(std::int32_t first, std::int32_t second) {
    return first < 0 || second < 0 || first == second;
}

// The nodes of one problem, numbered from 0, and their weights to each other.
template <class Real>
class DensePart {
public:
    DensePart(const DenseWeights<Real>& all, std::vector<Node> nodes)
        : all_(all), nodes_(std::move(nodes)) {}

    std::size_t size() const { return nodes_.size(); }

    template <class Body>
    void for_each(Node v, const Body& body) const {
        const Real* row = all_.weights + nodes_[v] * all_.n_nodes;
        for (Node u = 0; u < nodes_.size(); ++u) {
            if (u != v) body(u, static_cast<double>(row[nodes_[u]]));
        }
    }
    double weight(Node v, Node u) const {
        return static_cast<double>(all_.weights[nodes_[v] * all_.n_nodes + nodes_[u]]);
    }
    static constexpr bool is_dense = true;

private:
    const DenseWeights<Real>& all_;
    std::vector<Node> nodes_;
};

// A copy, so that one class serves graphs of all types, with the edges of a node side by side.
class SparsePart {
public:
    // places: of all nodes of the graph; those of other problems have another entry in part_of.
    template <class Index, class Real>
    SparsePart(const GraphView<Index, Real>& graph, const std::vector<Node>& nodes,
               const std::vector<Node>& places, const std::vector<Node>& part_of) {
        ends_.reserve(nodes.size());
        for (const Node node : nodes) {
            const auto end = static_cast<std::size_t>(graph.indptr[node + 1]);
            for (auto e = static_cast<std::size_t>(graph.indptr[node]); e < end; ++e) {
                const auto target = static_cast<Node>(graph.indices[e]);
                if (target == node || part_of[target] != part_of[node]) continue;
                edges_.emplace_back(places[target], static_cast<double>(graph.weights[e]));
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
    static constexpr bool is_dense = false;

private:
    std::vector<std::pair<Node, double>> edges_;
    std::vector<std::size_t> ends_;
};

// Weights of one node summed by the cluster they lead to.
class Links {
public:
    explicit Links(std::size_t n) : weights_(n, 0.0), is_met_(n, 0) {}

    void clear() {
        for (const Node one : met_) {
            weights_[one] = 0;
            is_met_[one] = 0;
        }
        met_.clear();
    }
    void add(Node cluster, double weight) {
        if (is_met_[cluster] == 0) {
            is_met_[cluster] = 1;
            met_.push_back(cluster);
        }
        weights_[cluster] += weight;
    }
    const std::vector<Node>& met() const { return met_; }
    double weight(Node cluster) const { return weights_[cluster]; }

private:
    std::vector<double> weights_;
    std::vector<std::uint8_t> is_met_;
    std::vector<Node> met_;
};

// Joins the two items with most weight between them while that is positive. Items of which all
// pairs have a weight: a matrix, of which the largest value of each row is known, or too large.
template <class Real>
class DenseContraction {
public:
    DenseContraction(std::vector<Real> weights, std::vector<std::int32_t> groups,
                     const Executor& executor)
        : weights_(std::move(weights)), groups_(std::move(groups)), executor_(executor) {}

    Labels run() {
        const std::size_t n = groups_.size();
        Labels labels(n);
        std::iota(labels.begin(), labels.end(), Node{0});
        alive_ = labels;
        best_.resize(n);
        bound_.resize(n);
        for (const Node v : alive_) find_best(v);
        for (std::size_t step = 0; alive_.size() > 1; ++step) {
            if (step % 64 == 0) executor_.checkpoint();
            const auto found = std::max_element(alive_.begin(), alive_.end(), [&](Node a, Node b) {
                return bound_[a] < bound_[b];
            });
            const Node v = *found;
            if (!(bound_[v] > 0)) break;
            const Node u = best_[v];
            if (u == v || row(v)[u] != bound_[v]) {  // it was joined, or lost weight
                find_best(v);
                continue;
            }
            join(std::min(v, u), std::max(v, u), labels);
        }
        for (Node& label : labels) {
            while (labels[label] != label) label = labels[label];
        }
        return labels;
    }

private:
    Real* row(Node v) { return weights_.data() + v * groups_.size(); }

    void find_best(Node v) {
        best_[v] = v;
        bound_[v] = -std::numeric_limits<Real>::infinity();
        const Real* weights = row(v);
        for (const Node u : alive_) {
            if (u != v && weights[u] > bound_[v]) {
                best_[v] = u;
                bound_[v] = weights[u];
            }
        }
    }

    void join(Node kept, Node gone, Labels& labels) {
        alive_.erase(std::lower_bound(alive_.begin(), alive_.end(), gone));
        labels[gone] = kept;
        groups_[kept] = std::max(groups_[kept], groups_[gone]);
        Real* into = row(kept);
        const Real* from = row(gone);
        for (const Node u : alive_) {
            if (u == kept) continue;
            into[u] = may_join(groups_[kept], groups_[u]) ? into[u] + from[u]
                                                          : -std::numeric_limits<Real>::infinity();
            row(u)[kept] = into[u];
            if (into[u] > bound_[u]) {
                bound_[u] = into[u];
                best_[u] = kept;
            } else if (best_[u] == gone) {
                best_[u] = u;  // the bound still holds
            }
        }
        find_best(kept);
    }

    std::vector<Real> weights_;
    std::vector<std::int32_t> groups_;
    const Executor& executor_;
    std::vector<Node> alive_;  // ascending
    std::vector<Node> best_;
    std::vector<Real> bound_;
};

// The same where most pairs have no weight.
class SparseContraction {
public:
    SparseContraction(std::vector<std::unordered_map<Node, double>> weights,
                      std::vector<std::int32_t> groups, const Executor& executor)
        : weights_(std::move(weights)), groups_(std::move(groups)), executor_(executor) {}

    Labels run() {
        const std::size_t n = groups_.size();
        Labels labels(n);
        std::iota(labels.begin(), labels.end(), Node{0});
        std::vector<Candidate> first;
        for (Node v = 0; v < n; ++v) {
            for (const auto& [u, weight] : weights_[v]) {
                if (v < u && weight > 0) first.push_back({weight, v, u});
            }
        }
        std::priority_queue<Candidate> queue({}, std::move(first));
        for (std::size_t step = 0; !queue.empty(); ++step) {
            if (step % 1024 == 0) executor_.checkpoint();
            const Candidate top = queue.top();
            queue.pop();
            if (labels[top.first] != top.first || labels[top.second] != top.second) continue;
            if (!may_join(groups_[top.first], groups_[top.second])) continue;
            const auto found = weights_[top.first].find(top.second);
            if (found == weights_[top.first].end() || found->second != top.weight) continue;
            Node kept = top.first;
            Node gone = top.second;
            if (weights_[kept].size() < weights_[gone].size()) std::swap(kept, gone);
            labels[gone] = kept;
            groups_[kept] = std::max(groups_[kept], groups_[gone]);
            weights_[kept].erase(gone);
            const std::unordered_map<Node, double> moved = std::move(weights_[gone]);
            weights_[gone].clear();
            for (const auto& [u, weight] : moved) {
                if (u == kept) continue;
                weights_[u].erase(gone);
                const double sum = weights_[kept][u] += weight;
                weights_[u][kept] = sum;
                if (sum > 0) queue.push({sum, std::min(kept, u), std::max(kept, u)});
            }
        }
        for (Node& label : labels) {
            while (labels[label] != label) label = labels[label];
        }
        return labels;
    }

private:
    struct Candidate {
        double weight;
        Node first;
        Node second;
        bool operator<(const Candidate& other) const {
            if (weight != other.weight) return weight < other.weight;
            return std::pair(first, second) > std::pair(other.first, other.second);
        }
    };
    std::vector<std::unordered_map<Node, double>> weights_;
    std::vector<std::int32_t> groups_;
    const Executor& executor_;
};

template <class Part, class Real>
class Solver {
public:
    Solver(const Part& part, std::vector<std::int32_t> groups, const Executor& executor)
        : part_(part), groups_(std::move(groups)), executor_(executor), links_(part.size() + 1) {
        for (Node v = 0; v < part.size(); ++v) {
            double total = 0;
            part.for_each(v, [&](Node, double weight) { total += std::abs(weight); });
            least_gain_.push_back(rounding * total);
        }
    }

    Labels run() {
        Labels best(part_.size());
        std::iota(best.begin(), best.end(), Node{0});
        improve(best);
        double value = within(best);
        const std::size_t n = part_.size();
        std::mt19937_64 random(n);  // so that a problem beside others is solved as alone
        std::size_t n_restarts = max_restarts;
        if (n > few_nodes) n_restarts = n_restarts * few_nodes / n * few_nodes / n;
        for (std::size_t i = 0; i < n_restarts && n > 2; ++i) {
            executor_.checkpoint();
            Labels other = best;
            dissolve(other, random);
            improve(other);
            const double found = within(other);
            if (found > value + rounding * std::abs(value)) {
                value = found;
                best = std::move(other);
            }
        }
        return best;
    }

private:
    double within(const Labels& labels) const {
        double sum = 0;
        for (Node v = 0; v < part_.size(); ++v) {
            part_.for_each(v, [&](Node u, double weight) {
                if (u < v && labels[u] == labels[v]) sum += weight;
            });
        }
        return sum;
    }

    void improve(Labels& labels) {
        join_clusters(labels);
        for (std::size_t pass = 0; pass < max_passes && n_reads_ < max_reads; ++pass) {
            const bool moved = move_nodes(labels);
            const bool swapped = move_sequences(labels);
            const bool joined = join_clusters(labels);
            if (!moved && !swapped && !joined) break;
        }
    }

    // Some clusters become nodes again, of which some join others by chance.
    void dissolve(Labels& labels, std::mt19937_64& random) const {
        const std::size_t n_clusters = renumber(labels);
        std::vector<std::int32_t> groups = groups_of(labels, n_clusters);
        std::vector<std::uint8_t> goes(n_clusters, 0);
        const std::size_t n = std::min<std::size_t>(n_clusters, 1 + random() % 3);
        for (std::size_t i = 0; i < n; ++i) goes[random() % n_clusters] = 1;
        const std::size_t keep_one_in = 1 + random() % 3;
        for (Node v = 0; v < labels.size(); ++v) {
            if (labels[v] >= n_clusters || goes[labels[v]] == 0) continue;
            if (random() % keep_one_in != 0) continue;
            const Node other = labels[random() % labels.size()];
            if (random() % 2 == 0 && may_join(groups_[v], groups[other])) {
                labels[v] = other;
                groups[other] = std::max(groups[other], groups_[v]);
            } else {
                labels[v] = static_cast<Node>(groups.size());
                groups.push_back(groups_[v]);
            }
        }
        compact(labels);
    }

    // Labels below the number of nodes, whatever they were.
    static void compact(Labels& labels) {
        std::unordered_map<Node, Node> numbers;
        for (Node& label : labels) {
            label = numbers.try_emplace(label, static_cast<Node>(numbers.size())).first->second;
        }
    }

    std::vector<std::int32_t> groups_of(const Labels& labels, std::size_t n_clusters) const {
        std::vector<std::int32_t> groups(n_clusters, -1);
        for (Node v = 0; v < labels.size(); ++v) {
            groups[labels[v]] = std::max(groups[labels[v]], groups_[v]);
        }
        return groups;
    }

    bool join_clusters(Labels& labels) {
        const std::size_t n = renumber(labels);
        std::vector<std::int32_t> groups = groups_of(labels, n);
        Labels joined;
        if constexpr (Part::is_dense) {
            executor_.require_memory(n * n * sizeof(Real), "weights between clusters");
            std::vector<Real> weights(n * n, Real{0});
            for (Node v = 0; v < labels.size(); ++v) {
                Real* row = weights.data() + labels[v] * n;
                part_.for_each(
                    v, [&](Node u, double weight) { row[labels[u]] += static_cast<Real>(weight); });
            }
            for (std::size_t a = 0; a < n; ++a) {
                for (std::size_t b = 0; b < a; ++b) {
                    Real& one = weights[a * n + b];
                    Real& other = weights[b * n + a];
                    // Both ways sums were rounded in another order.
                    one = may_join(groups[a], groups[b]) ? (one + other) / 2
                                                         : -std::numeric_limits<Real>::infinity();
                    other = one;
                }
            }
            joined = DenseContraction<Real>(std::move(weights), std::move(groups), executor_).run();
        } else {
            std::vector<std::unordered_map<Node, double>> weights(n);
            for (Node v = 0; v < labels.size(); ++v) {
                part_.for_each(v, [&](Node u, double weight) {
                    if (u < v && labels[u] != labels[v]) {
                        const auto [a, b] = std::minmax(labels[u], labels[v]);
                        weights[a][b] += weight;
                    }
                });
            }
            for (Node a = 0; a < n; ++a) {
                for (const auto& [b, weight] : weights[a]) {
                    if (a < b) weights[b][a] = weight;
                }
            }
            joined = SparseContraction(std::move(weights), std::move(groups), executor_).run();
        }
        for (Node& label : labels) label = joined[label];
        return renumber(labels) < n;
    }

    // Each node to the cluster it has most weight to, or to one of its own, until none gains.
    bool move_nodes(Labels& labels) {
        const std::size_t n_clusters = renumber(labels);
        const std::size_t n = labels.size();
        std::vector<std::size_t> sizes(n + 1, 0);
        std::vector<std::size_t> n_grouped(n + 1, 0);  // nodes with a group
        std::vector<std::int32_t> groups = groups_of(labels, n_clusters);
        groups.resize(n + 1, -1);
        for (Node v = 0; v < n; ++v) {
            ++sizes[labels[v]];
            if (groups_[v] >= 0) ++n_grouped[labels[v]];
        }
        std::vector<Node> empty;
        for (std::size_t c = n + 1; c-- > n_clusters;) empty.push_back(static_cast<Node>(c));
        bool moved = false;
        for (std::size_t pass = 0; pass < max_passes && n_reads_ < max_reads; ++pass) {
            bool moved_here = false;
            for (Node v = 0; v < n; ++v) {
                if (v % 256 == 0) executor_.checkpoint();
                const Node own = labels[v];
                links_.clear();
                part_.for_each(v, [&](Node u, double weight) {
                    links_.add(labels[u], weight);
                    ++n_reads_;
                });
                Node best = own;
                double gain = links_.weight(own) + least_gain_[v];
                if (sizes[own] > 1 && gain < 0) {
                    best = empty.back();
                    gain = 0;
                }
                for (const Node c : links_.met()) {
                    if (c == own || !may_join(groups_[v], groups[c])) continue;
                    if (links_.weight(c) > gain) {
                        best = c;
                        gain = links_.weight(c);
                    }
                }
                if (best == own) continue;
                if (best == empty.back()) empty.pop_back();
                labels[v] = best;
                ++sizes[best];
                if (groups_[v] >= 0) {
                    groups[best] = groups_[v];
                    ++n_grouped[best];
                    if (--n_grouped[own] == 0) groups[own] = -1;
                }
                if (--sizes[own] == 0) empty.push_back(own);
                moved_here = true;
            }
            if (!moved_here) break;
            moved = true;
        }
        compact(labels);
        return moved;
    }

    // Between each two clusters, and each and none: nodes change sides one after the other, the
    // one that gains most or loses least first, and the best of these states is kept.
    bool move_sequences(Labels& labels) {
        std::size_t n_clusters = renumber(labels);
        const std::size_t n = labels.size();
        std::vector<std::vector<Node>> members(n + 1);
        for (Node v = 0; v < n; ++v) members[labels[v]].push_back(v);
        std::vector<std::uint8_t> is_new(n + 1, 1);
        bool moved = false;
        places_.assign(n, none);
        for (std::size_t pass = 0; pass < max_passes && n_reads_ < max_reads; ++pass) {
            std::vector<std::uint8_t> was_new = is_new;
            std::fill(is_new.begin(), is_new.end(), std::uint8_t{0});
            bool moved_here = false;
            const std::size_t n_before = n_clusters;
            for (Node a = 0; a < n_before; ++a) {
                if (members[a].empty()) continue;
                std::vector<Node> others;
                links_.clear();
                for (const Node v : members[a]) {
                    part_.for_each(v, [&](Node u, double weight) {
                        if (weight > 0) links_.add(labels[u], weight);
                        ++n_reads_;
                    });
                }
                for (const Node b : links_.met()) {
                    if (b > a && b < n_before) others.push_back(b);
                }
                std::sort(others.begin(), others.end());
                for (const Node b : others) {
                    executor_.checkpoint();
                    if (was_new[a] == 0 && was_new[b] == 0 && is_new[a] == 0 && is_new[b] == 0) {
                        continue;
                    }
                    if (n_reads_ > max_reads || !exchange(a, b, labels, members)) continue;
                    is_new[a] = is_new[b] = 1;
                    moved_here = true;
                }
                if (was_new[a] == 0 && is_new[a] == 0) continue;
                if (n_clusters == n ||
                    !exchange(a, static_cast<Node>(n_clusters), labels, members)) {
                    continue;
                }
                is_new[a] = is_new[n_clusters++] = 1;
                moved_here = true;
            }
            if (!moved_here) break;
            moved = true;
        }
        compact(labels);
        return moved;
    }

    bool exchange(Node a, Node b, Labels& labels, std::vector<std::vector<Node>>& members) {
        std::vector<Node> nodes = members[a];
        nodes.insert(nodes.end(), members[b].begin(), members[b].end());
        const std::size_t m = nodes.size();
        if (m < 2) return false;
        std::int32_t group_of[2] = {-1, -1};
        for (const Node v : members[a]) group_of[0] = std::max(group_of[0], groups_[v]);
        for (const Node v : members[b]) group_of[1] = std::max(group_of[1], groups_[v]);
        for (std::size_t i = 0; i < m; ++i) places_[nodes[i]] = static_cast<Node>(i);
        const auto among = [&](Node v, const auto& body) {
            if constexpr (Part::is_dense) {
                n_reads_ += nodes.size();
                for (const Node u : nodes) {
                    if (u != v) body(u, part_.weight(v, u));
                }
            } else {
                part_.for_each(v, [&](Node u, double weight) {
                    if (labels[u] == a || labels[u] == b) body(u, weight);
                    ++n_reads_;
                });
            }
        };
        std::vector<double> gains(m, 0.0);
        std::vector<std::uint8_t> is_free(m, 1);
        for (std::size_t i = 0; i < m; ++i) {
            const Node v = nodes[i];
            const bool in_a = labels[v] == a;
            if (!may_join(groups_[v], group_of[in_a ? 1 : 0])) is_free[i] = 0;
            among(v, [&](Node u, double weight) {
                gains[i] += labels[u] == labels[v] ? -weight : weight;
            });
        }
        double sum = 0;
        double best_sum = 0;
        std::size_t n_best = 0;
        std::vector<std::size_t> order;
        while (order.size() < m && order.size() < n_best + patience) {
            std::size_t next = m;
            for (std::size_t i = 0; i < m; ++i) {
                if (is_free[i] != 0 && (next == m || gains[i] > gains[next])) next = i;
            }
            if (next == m) break;
            const Node v = nodes[next];
            sum += gains[next];
            is_free[next] = 0;
            order.push_back(next);
            const Node from = labels[v];
            labels[v] = from == a ? b : a;
            among(v, [&](Node u, double weight) {
                gains[places_[u]] += labels[u] == from ? 2 * weight : -2 * weight;
            });
            if (sum > best_sum + least_gain_[v]) {
                best_sum = sum;
                n_best = order.size();
            }
        }
        for (std::size_t i = n_best; i < order.size(); ++i) {
            Node& label = labels[nodes[order[i]]];
            label = label == a ? b : a;
        }
        if (n_best == 0) return false;
        members[a].clear();
        members[b].clear();
        for (const Node v : nodes) members[labels[v]].push_back(v);
        return true;
    }

    static constexpr Node none = static_cast<Node>(-1);

    const Part& part_;
    std::vector<std::int32_t> groups_;
    const Executor& executor_;
    Links links_;
    std::vector<double> least_gain_;
    std::vector<Node> places_;
    std::size_t n_reads_ = 0;
};

class Sets {
public:
    explicit Sets(std::size_t n) : parents_(n) {
        std::iota(parents_.begin(), parents_.end(), Node{0});
    }
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
    std::vector<Node> parents_;
};

void check_sizes(std::span<const std::int32_t> groups, std::size_t n) {
    if (n > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::invalid_argument("weights: more nodes than 32-bit labels can number");
    }
    if (!groups.empty() && groups.size() != n) {
        throw std::invalid_argument("groups: expected one for each node");
    }
}

template <class Real>
void check_weight(Real weight, std::size_t v, std::size_t u) {
    if (!std::isfinite(weight)) {
        throw std::invalid_argument("weights: that of nodes " + std::to_string(v) + " and " +
                                    std::to_string(u) + " is not finite");
    }
}

// Solves the parts of nodes that chains of positive weights connect. make(nodes, numbers) makes the
// problem of some nodes.
template <class Real, class Make>
std::vector<std::int32_t> solve(Sets& connected, std::size_t n,
                                std::span<const std::int32_t> groups, const Executor& executor,
                                const Make& make) {
    Labels part_of(n);
    for (Node v = 0; v < n; ++v) part_of[v] = connected.find(v);
    std::vector<Node> places(n);
    const std::size_t n_parts = renumber(part_of);
    std::vector<std::vector<Node>> parts(n_parts);
    for (Node v = 0; v < n; ++v) {
        places[v] = static_cast<Node>(parts[part_of[v]].size());
        parts[part_of[v]].push_back(v);
    }
    std::vector<Node> order(n_parts);  // large ones first
    std::iota(order.begin(), order.end(), Node{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](Node a, Node b) { return parts[a].size() > parts[b].size(); });
    Labels labels(n);
    executor.stage("correlation clustering");
    executor.run(n_parts, [&](std::size_t block, int) {
        const std::vector<Node>& nodes = parts[order[block]];
        if (nodes.size() == 1) {
            labels[nodes[0]] = nodes[0];
            return;
        }
        std::vector<std::int32_t> own(nodes.size(), -1);
        for (std::size_t i = 0; i < nodes.size() && !groups.empty(); ++i) {
            own[i] = std::max(std::int32_t{-1}, groups[nodes[i]]);
        }
        const auto part = make(nodes, places, part_of);
        Labels found =
            Solver<std::decay_t<decltype(part)>, Real>(part, std::move(own), executor).run();
        std::vector<Node> first(nodes.size(), static_cast<Node>(-1));
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            if (first[found[i]] == static_cast<Node>(-1)) first[found[i]] = nodes[i];
            labels[nodes[i]] = first[found[i]];
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
    return solve<Real>(connected, n, groups, executor,
                       [&](const std::vector<Node>& nodes, const auto&, const auto&) {
                           return DensePart<Real>(weights, nodes);
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
            const auto u = static_cast<std::size_t>(graph.indices[e]);
            if (u == v) continue;
            check_weight(graph.weights[e], v, u);
            if (graph.weights[e] > 0) connected.unite(static_cast<Node>(u), static_cast<Node>(v));
        }
    }
    return solve<double>(
        connected, n, groups, executor,
        [&](const std::vector<Node>& nodes, const auto& places, const auto& part_of) {
            return SparsePart(graph, nodes, places, part_of);
        });
}

template std::vector<std::int32_t> correlation_clustering(const DenseWeights<float>&,
                                                          std::span<const std::int32_t>,
                                                          const Executor&);
template std::vector<std::int32_t> correlation_clustering(const DenseWeights<double>&,
                                                          std::span<const std::int32_t>,
                                                          const Executor&);
template std::vector<std::int32_t> correlation_clustering(const GraphView<std::int32_t, float>&,
                                                          std::span<const std::int32_t>,
                                                          const Executor&);
template std::vector<std::int32_t> correlation_clustering(const GraphView<std::int32_t, double>&,
                                                          std::span<const std::int32_t>,
                                                          const Executor&);
template std::vector<std::int32_t> correlation_clustering(const GraphView<std::int64_t, float>&,
                                                          std::span<const std::int32_t>,
                                                          const Executor&);
template std::vector<std::int32_t> correlation_clustering(const GraphView<std::int64_t, double>&,
                                                          std::span<const std::int32_t>,
                                                          const Executor&);

}  // namespace labelquorum
