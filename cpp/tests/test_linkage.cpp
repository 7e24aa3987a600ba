#include "labelquorum/linkage.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using labelquorum::average_linkage;
using labelquorum::Executor;
using labelquorum::Merge;

namespace {

struct Items {
    std::vector<double> similarity;
    std::vector<double> weights;
    std::vector<std::int32_t> kinds;

    std::vector<Merge> merges() const {
        std::vector<double> copy = similarity;
        return average_linkage(copy, weights, kinds, Executor(1));
    }
};

Items random_items(std::size_t n, bool with_kinds, std::mt19937_64& random) {
    Items items;
    items.similarity.assign(n * n, 0.0);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = i; j < n; ++j) {
            items.similarity[i * n + j] = items.similarity[j * n + i] =
                std::uniform_real_distribution<>(-1, 1)(random);
        }
        items.weights.push_back(static_cast<double>(1 + random() % 5));
        if (with_kinds) items.kinds.push_back(static_cast<std::int32_t>(random() % 4) - 1);
    }
    return items;
}

// The two most similar trees, all pairs of their items compared, again and again.
std::vector<Merge> naive(const Items& items) {
    const std::size_t n = items.weights.size();
    struct Tree {
        std::int32_t number;
        std::vector<std::size_t> items;
    };
    std::vector<Tree> trees;
    for (std::size_t i = 0; i < n; ++i) trees.push_back({static_cast<std::int32_t>(i), {i}});
    std::vector<Merge> merges;
    while (true) {
        Merge best{0, 0, -std::numeric_limits<double>::infinity()};
        std::size_t first = 0;
        std::size_t second = 0;
        for (std::size_t a = 0; a < trees.size(); ++a) {
            for (std::size_t b = a + 1; b < trees.size(); ++b) {
                double sum = 0;
                double weight = 0;
                bool allowed = true;
                for (const std::size_t i : trees[a].items) {
                    for (const std::size_t j : trees[b].items) {
                        const double both = items.weights[i] * items.weights[j];
                        sum += both * items.similarity[i * n + j];
                        weight += both;
                        if (!items.kinds.empty() && items.kinds[i] >= 0 && items.kinds[j] >= 0 &&
                            items.kinds[i] != items.kinds[j]) {
                            allowed = false;
                        }
                    }
                }
                if (allowed && sum / weight > best.similarity) {
                    best = {trees[a].number, trees[b].number, sum / weight};
                    first = a;
                    second = b;
                }
            }
        }
        if (first == second) return merges;
        merges.push_back(best);
        trees[first].number = static_cast<std::int32_t>(n + merges.size() - 1);
        trees[first].items.insert(trees[first].items.end(), trees[second].items.begin(),
                                  trees[second].items.end());
        trees.erase(trees.begin() + static_cast<std::ptrdiff_t>(second));
    }
}

TEST(merges_equal_those_of_all_pairs_of_items) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 200; ++round) {
        const Items items = random_items(1 + random() % 20, round % 2 == 1, random);
        const std::vector<Merge> found = items.merges();
        const std::vector<Merge> expected = naive(items);
        CHECK(found.size() == expected.size());
        for (std::size_t m = 0; m < found.size(); ++m) {
            CHECK(found[m].first == expected[m].first);
            CHECK(found[m].second == expected[m].second);
            CHECK(std::abs(found[m].similarity - expected[m].similarity) < 1e-9);
        }
    }
}

TEST(similarities_fall_also_where_all_are_equal) {
    Items items{std::vector<double>(400, 1.0 / 3), std::vector<double>(20, 0.1), {}};
    const std::vector<Merge> merges = items.merges();
    CHECK(merges.size() == 19);
    for (std::size_t m = 0; m < merges.size(); ++m) {
        CHECK(m == 0 || merges[m].similarity <= merges[m - 1].similarity);
        CHECK(merges[m].first != merges[m].second);
    }
}

TEST(bad_items_are_refused) {
    Items items{{1, 0, 0, 1}, {1, 1}, {}};
    items.weights[1] = 0;
    CHECK_THROWS(std::invalid_argument, items.merges());
    items.weights[1] = 1;
    items.similarity[2] = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS(std::invalid_argument, items.merges());
    items.similarity.pop_back();
    CHECK_THROWS(std::invalid_argument, items.merges());
}

}  // namespace
