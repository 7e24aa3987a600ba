#include "labelquorum/linkage.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

namespace labelquorum {
namespace {

constexpr double forbidden = -std::numeric_limits<double>::infinity();
constexpr std::size_t merges_per_check = 64;

// A tree goes by its smallest item.
struct Found {
    std::size_t first;
    std::size_t second;
    double similarity;
};

class Chains {
public:
    Chains(std::span<double> similarity, std::span<const double> weights,
           std::span<const std::int32_t> kinds)
        : n_(weights.size()),
          similarity_(similarity),
          weights_(weights.begin(), weights.end()),
          levels_(n_, -forbidden),
          alive_(n_) {
        std::iota(alive_.begin(), alive_.end(), std::size_t{0});
        for (std::size_t i = 0; i < n_; ++i) {
            row(i)[i] = forbidden;
            if (kinds.empty() || kinds[i] < 0) continue;
            for (std::size_t j = 0; j < n_; ++j) {
                if (kinds[j] >= 0 && kinds[j] != kinds[i]) row(i)[j] = forbidden;
            }
        }
    }

    std::vector<Found> run(const Executor& executor) {
        std::vector<Found> merges;
        std::vector<std::size_t> chain;
        while (!alive_.empty()) {
            if (merges.size() % merges_per_check == 0) executor.checkpoint();
            if (chain.empty()) chain.push_back(alive_.front());
            const std::size_t last = chain.back();
            const std::size_t before = chain.size() > 1 ? chain[chain.size() - 2] : n_;
            const std::size_t next = nearest(last, before);
            if (next == n_) {  // nothing may be merged with it
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
            // No more similar than its parts are within, where rounding would have it so.
            levels_[first] = std::min({row(last)[before], levels_[first], levels_[second]});
            merges.push_back({first, second, levels_[first]});
            merge(first, second);
        }
        return merges;
    }

private:
    double* row(std::size_t i) { return similarity_.data() + i * n_; }

    // The most similar one: `before` where it is as similar, else the smallest.
    std::size_t nearest(std::size_t to, std::size_t before) {
        const double* similarity = row(to);
        std::size_t best = before;
        double most = before == n_ ? forbidden : similarity[before];
        for (const std::size_t i : alive_) {
            if (similarity[i] > most) {
                most = similarity[i];
                best = i;
            }
        }
        return best;
    }

    void remove(std::size_t i) {
        alive_.erase(std::lower_bound(alive_.begin(), alive_.end(), i));
    }

    void merge(std::size_t first, std::size_t second) {
        remove(second);
        const double weight = weights_[first] + weights_[second];
        const double share = weights_[first] / weight;
        weights_[first] = weight;
        for (const std::size_t i : alive_) {
            if (i == first) continue;
            const double both = share * row(first)[i] + (1 - share) * row(second)[i];
            row(first)[i] = both;
            row(i)[first] = both;
        }
    }

    std::size_t n_;
    std::span<double> similarity_;
    std::vector<double> weights_;
    std::vector<double> levels_;      // at which trees were merged last
    std::vector<std::size_t> alive_;  // ascending
};

}  // namespace

std::vector<Merge> average_linkage(std::span<double> similarity, std::span<const double> weights,
                                   std::span<const std::int32_t> kinds, const Executor& executor) {
    const std::size_t n = weights.size();
    if (similarity.size() != n * n || (!kinds.empty() && kinds.size() != n)) {
        throw std::invalid_argument("similarity, weights, kinds: expected n x n, n and n values");
    }
    for (const double weight : weights) {
        if (!(weight > 0)) {
            throw std::invalid_argument("weights holds " + std::to_string(weight) +
                                        "; wanted positive numbers");
        }
    }
    if (!std::all_of(similarity.begin(), similarity.end(),
                     [](double value) { return std::isfinite(value); })) {
        throw std::invalid_argument("similarity holds NaN or infinity");
    }
    std::vector<Found> found = Chains(similarity, weights, kinds).run(executor);
    std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
        return a.similarity > b.similarity;
    });
    std::vector<std::int32_t> tree_of(n);
    std::iota(tree_of.begin(), tree_of.end(), 0);
    std::vector<Merge> merges;
    merges.reserve(found.size());
    for (const Found& one : found) {
        merges.push_back({tree_of[one.first], tree_of[one.second], one.similarity});
        tree_of[one.first] = static_cast<std::int32_t>(n + merges.size() - 1);
    }
    return merges;
}

}  // namespace labelquorum
