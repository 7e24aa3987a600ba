#include "labelquorum/linkage.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

namespace labelquorum {
namespace {

constexpr double forbidden = std::numeric_limits<double>::infinity();
constexpr std::size_t merges_per_check = 64;

// A merge of two trees, each named by its smallest item.
struct ItemMerge {
    std::size_t first;
    std::size_t second;
    double cost;
};

// Nearest-neighbor chains: each tree of a chain is followed by the one that costs least to merge
// with it. Two trees that follow each other are merged.
class Chains {
public:
    Chains(std::span<double> distances, std::span<const double> weights,
           std::span<const std::int32_t> kinds, LinkageMethod method)
        : n_(weights.size()),
          is_ward_(method == LinkageMethod::ward),
          costs_(distances),
          weights_(weights.begin(), weights.end()),
          levels_(n_, 0.0),
          alive_(n_) {
        std::iota(alive_.begin(), alive_.end(), std::size_t{0});
        for (std::size_t i = 0; i < n_; ++i) {
            for (std::size_t j = 0; j < n_; ++j) {
                const bool apart =
                    !kinds.empty() && kinds[i] >= 0 && kinds[j] >= 0 && kinds[i] != kinds[j];
                if (i == j || apart) {
                    row(i)[j] = forbidden;
                } else if (is_ward_) {
                    row(i)[j] *= weights_[i] * weights_[j] / (weights_[i] + weights_[j]);
                }
            }
        }
    }

    std::vector<ItemMerge> run(const Executor& executor) {
        std::vector<ItemMerge> merges;
        std::vector<std::size_t> chain;
        while (!alive_.empty()) {
            if (merges.size() % merges_per_check == 0) executor.checkpoint();
            if (chain.empty()) chain.push_back(alive_.front());
            const std::size_t last = chain.back();
            const std::size_t before = chain.size() > 1 ? chain[chain.size() - 2] : n_;
            const std::size_t next = nearest(last, before);
            if (next == n_) {  // nothing may be merged with `last`
                chain.pop_back();
                remove(last);
                continue;
            }
            if (next != before) {
                chain.push_back(next);
                continue;
            }
            chain.resize(chain.size() - 2);
            const std::size_t first = std::min(last, before);
            const std::size_t second = std::max(last, before);
            // Rounding must not make a merge cost less than those it builds on.
            levels_[first] = std::max({row(last)[before], levels_[first], levels_[second]});
            merges.push_back({first, second, levels_[first]});
            merge(first, second);
        }
        return merges;
    }

private:
    double* row(std::size_t i) { return costs_.data() + i * n_; }

    // The tree that costs least to merge with `to`. Ties go to `before`, then to the smallest.
    std::size_t nearest(std::size_t to, std::size_t before) {
        const double* costs = row(to);
        std::size_t best = before;
        double least = before == n_ ? forbidden : costs[before];
        for (const std::size_t i : alive_) {
            if (costs[i] < least) {
                least = costs[i];
                best = i;
            }
        }
        return best;
    }

    void remove(std::size_t i) { alive_.erase(std::lower_bound(alive_.begin(), alive_.end(), i)); }

    // Updates costs by the formula of Lance and Williams.
    void merge(std::size_t first, std::size_t second) {
        remove(second);
        const double between = row(first)[second];
        const double first_weight = weights_[first];
        const double second_weight = weights_[second];
        for (const std::size_t i : alive_) {
            if (i == first) continue;
            double cost = 0;
            if (is_ward_) {
                const double weight = weights_[i];
                const double sum = (first_weight + weight) * row(first)[i] +
                                   (second_weight + weight) * row(second)[i] - weight * between;
                cost = std::max(0.0, sum / (first_weight + second_weight + weight));
            } else {
                cost = (first_weight * row(first)[i] + second_weight * row(second)[i]) /
                       (first_weight + second_weight);
            }
            row(first)[i] = cost;
            row(i)[first] = cost;
        }
        weights_[first] += second_weight;
    }

    std::size_t n_;
    bool is_ward_;
    std::span<double> costs_;
    std::vector<double> weights_;
    std::vector<double> levels_;      // of each tree: the cost of the merge that made it
    std::vector<std::size_t> alive_;  // ascending
};

}  // namespace

std::vector<Merge> linkage(std::span<double> distances, std::span<const double> weights,
                           std::span<const std::int32_t> kinds, LinkageMethod method,
                           const Executor& executor) {
    const std::size_t n = weights.size();
    if (distances.size() != n * n || (!kinds.empty() && kinds.size() != n)) {
        throw std::invalid_argument(
            "distances and kinds must have n x n and n values for n weights, got " +
            std::to_string(distances.size()) + " and " + std::to_string(kinds.size()) + " for " +
            std::to_string(n) + ".");
    }
    for (const double weight : weights) {
        if (!(weight > 0 && std::isfinite(weight))) {
            throw std::invalid_argument("weights must be positive and finite, got " +
                                        std::to_string(weight) + ".");
        }
    }
    for (const double distance : distances) {
        if (!(distance >= 0 && std::isfinite(distance))) {
            throw std::invalid_argument("distances must be finite and at least 0, got " +
                                        std::to_string(distance) + ".");
        }
    }
    std::vector<ItemMerge> item_merges = Chains(distances, weights, kinds, method).run(executor);
    std::stable_sort(item_merges.begin(), item_merges.end(),
                     [](const ItemMerge& a, const ItemMerge& b) { return a.cost < b.cost; });
    std::vector<std::int32_t> tree_of(n);
    std::iota(tree_of.begin(), tree_of.end(), 0);
    std::vector<Merge> merges;
    merges.reserve(item_merges.size());
    for (const ItemMerge& merge : item_merges) {
        merges.push_back({tree_of[merge.first], tree_of[merge.second], merge.cost});
        tree_of[merge.first] = static_cast<std::int32_t>(n + merges.size() - 1);
    }
    return merges;
}

}  // namespace labelquorum
