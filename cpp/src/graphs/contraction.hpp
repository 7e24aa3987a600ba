// Greedy additive edge contraction: the two items with the most weight between them are joined, as
// long as that weight is positive.
//
// Items have groups: two items of different groups are never joined. Both classes return, for each
// item, the item that stands for its cluster.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

#include "labelquorum/executor.hpp"
#include "links.hpp"

namespace labelquorum {

// Replaces each item by the last one that it was joined to.
inline Labels follow_joins(Labels joined_to) {
    for (Node& item : joined_to) {
        while (joined_to[item] != item) item = joined_to[item];
    }
    return joined_to;
}

// For items that nearly all have a weight between them: a symmetric matrix, n x n. Keeps an upper
// bound on the largest value of each row.
template <class Real>
class DenseContraction {
public:
    DenseContraction(std::vector<Real> weights, std::vector<std::int32_t> groups,
                     const Executor& executor)
        : weights_(std::move(weights)),
          groups_(std::move(groups)),
          executor_(executor),
          joined_to_(singletons(groups_.size())),
          alive_(joined_to_),
          best_(groups_.size()),
          bounds_(groups_.size()) {}

    Labels run() {
        for (const Node v : alive_) find_best(v);
        for (std::size_t step = 0; alive_.size() > 1; ++step) {
            if (step % 64 == 0) executor_.checkpoint();
            const Node v = *std::max_element(alive_.begin(), alive_.end(), [&](Node a, Node b) {
                return bounds_[a] < bounds_[b];
            });
            if (!(bounds_[v] > 0)) break;
            const Node u = best_[v];
            if (u == v || row(v)[u] != bounds_[v]) {  // u was joined, or has less weight now
                find_best(v);
                continue;
            }
            join(std::min(v, u), std::max(v, u));
        }
        return follow_joins(std::move(joined_to_));
    }

private:
    static constexpr Real forbidden = -std::numeric_limits<Real>::infinity();

    Real* row(Node v) { return weights_.data() + v * groups_.size(); }

    void find_best(Node v) {
        best_[v] = v;
        bounds_[v] = forbidden;
        const Real* weights = row(v);
        for (const Node u : alive_) {
            if (u != v && weights[u] > bounds_[v]) {
                best_[v] = u;
                bounds_[v] = weights[u];
            }
        }
    }

    void join(Node kept, Node gone) {
        alive_.erase(std::lower_bound(alive_.begin(), alive_.end(), gone));
        joined_to_[gone] = kept;
        groups_[kept] = std::max(groups_[kept], groups_[gone]);
        Real* kept_row = row(kept);
        const Real* gone_row = row(gone);
        for (const Node u : alive_) {
            if (u == kept) continue;
            kept_row[u] =
                may_join(groups_[kept], groups_[u]) ? kept_row[u] + gone_row[u] : forbidden;
            row(u)[kept] = kept_row[u];
            if (kept_row[u] > bounds_[u]) {
                bounds_[u] = kept_row[u];
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
    Labels joined_to_;
    std::vector<Node> alive_;  // ascending
    std::vector<Node> best_;   // where each row's bound was reached, or the row itself
    std::vector<Real> bounds_;
};

// For items that mostly have no weight between them.
class SparseContraction {
public:
    using Weights = std::vector<std::unordered_map<Node, double>>;  // symmetric

    SparseContraction(Weights weights, std::vector<std::int32_t> groups, const Executor& executor)
        : weights_(std::move(weights)),
          groups_(std::move(groups)),
          executor_(executor),
          joined_to_(singletons(groups_.size())) {}

    Labels run() {
        std::priority_queue<Candidate> queue({}, positive_pairs());
        for (std::size_t step = 0; !queue.empty(); ++step) {
            if (step % 1024 == 0) executor_.checkpoint();
            const Candidate top = queue.top();
            queue.pop();
            if (!is_current(top) || !may_join(groups_[top.first], groups_[top.second])) continue;
            Node kept = top.first;
            Node gone = top.second;
            if (weights_[kept].size() < weights_[gone].size()) std::swap(kept, gone);
            join(kept, gone, queue);
        }
        return follow_joins(std::move(joined_to_));
    }

private:
    struct Candidate {
        double weight;
        Node first;  // less than `second`
        Node second;
        bool operator<(const Candidate& other) const {
            if (weight != other.weight) return weight < other.weight;
            return std::pair(first, second) > std::pair(other.first, other.second);
        }
    };

    std::vector<Candidate> positive_pairs() const {
        std::vector<Candidate> pairs;
        for (Node v = 0; v < weights_.size(); ++v) {
            for (const auto& [u, weight] : weights_[v]) {
                if (v < u && weight > 0) pairs.push_back({weight, v, u});
            }
        }
        return pairs;
    }

    // Whether both items are still there, with this weight between them.
    bool is_current(const Candidate& pair) const {
        if (joined_to_[pair.first] != pair.first || joined_to_[pair.second] != pair.second) {
            return false;
        }
        const auto entry = weights_[pair.first].find(pair.second);
        return entry != weights_[pair.first].end() && entry->second == pair.weight;
    }

    void join(Node kept, Node gone, std::priority_queue<Candidate>& queue) {
        joined_to_[gone] = kept;
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

    Weights weights_;
    std::vector<std::int32_t> groups_;
    const Executor& executor_;
    Labels joined_to_;
};

}  // namespace labelquorum
