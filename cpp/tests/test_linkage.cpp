#include "labelquorum/linkage.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using labelquorum::Executor;
using labelquorum::linkage;
using labelquorum::LinkageMethod;
using labelquorum::Merge;

namespace {

constexpr std::size_t n_columns = 3;

struct Items {
    std::vector<double> points;
    std::vector<double> weights;
    std::vector<std::int32_t> kinds;

    Items(std::size_t n, bool with_kinds, std::mt19937_64& random) {
        for (std::size_t i = 0; i < n * n_columns; ++i) {
            points.push_back(std::uniform_real_distribution<>(-1, 1)(random));
        }
        for (std::size_t i = 0; i < n; ++i) {
            weights.push_back(static_cast<double>(1 + random() % 5));
            if (with_kinds) kinds.push_back(static_cast<std::int32_t>(random() % 4) - 1);
        }
    }
    std::size_t size() const { return weights.size(); }
    std::vector<double> distances() const {
        std::vector<double> result;
        for (std::size_t i = 0; i < size(); ++i) {
            for (std::size_t j = 0; j < size(); ++j) {
                double sum = 0;
                for (std::size_t c = 0; c < n_columns; ++c) {
                    const double gap = points[i * n_columns + c] - points[j * n_columns + c];
                    sum += gap * gap;
                }
                result.push_back(sum);
            }
        }
        return result;
    }
};

// The sum of squared distances to the mean.
double spread(const Items& items, const std::vector<std::size_t>& members) {
    double sum = 0;
    for (std::size_t c = 0; c < n_columns; ++c) {
        double weight = 0;
        double mean = 0;
        for (const std::size_t i : members) {
            weight += items.weights[i];
            mean += items.weights[i] * items.points[i * n_columns + c];
        }
        mean /= weight;
        for (const std::size_t i : members) {
            const double gap = items.points[i * n_columns + c] - mean;
            sum += items.weights[i] * gap * gap;
        }
    }
    return sum;
}

bool may_be_merged(const Items& items, const std::vector<std::size_t>& a,
                   const std::vector<std::size_t>& b) {
    if (items.kinds.empty()) return true;
    for (const std::size_t i : a) {
        for (const std::size_t j : b) {
            if (items.kinds[i] >= 0 && items.kinds[j] >= 0 && items.kinds[i] != items.kinds[j]) {
                return false;
            }
        }
    }
    return true;
}

double mean_distance(const Items& items, const std::vector<std::size_t>& a,
                     const std::vector<std::size_t>& b) {
    const std::vector<double> distances = items.distances();
    double sum = 0;
    double weight = 0;
    for (const std::size_t i : a) {
        for (const std::size_t j : b) {
            const double both = items.weights[i] * items.weights[j];
            sum += both * distances[i * items.size() + j];
            weight += both;
        }
    }
    return sum / weight;
}

// Tries all pairs of trees for every merge.
std::vector<Merge> naive(const Items& items, LinkageMethod method) {
    struct Tree {
        std::int32_t number;
        std::vector<std::size_t> items;
    };
    std::vector<Tree> trees;
    for (std::size_t i = 0; i < items.size(); ++i) {
        trees.push_back({static_cast<std::int32_t>(i), {i}});
    }
    std::vector<Merge> merges;
    while (true) {
        Merge best{0, 0, std::numeric_limits<double>::infinity()};
        std::size_t first = 0;
        std::size_t second = 0;
        for (std::size_t a = 0; a < trees.size(); ++a) {
            for (std::size_t b = a + 1; b < trees.size(); ++b) {
                if (!may_be_merged(items, trees[a].items, trees[b].items)) continue;
                std::vector<std::size_t> both = trees[a].items;
                both.insert(both.end(), trees[b].items.begin(), trees[b].items.end());
                const double cost = method == LinkageMethod::average
                                        ? mean_distance(items, trees[a].items, trees[b].items)
                                        : spread(items, both) - spread(items, trees[a].items) -
                                              spread(items, trees[b].items);
                if (cost < best.cost) {
                    best = {trees[a].number, trees[b].number, cost};
                    first = a;
                    second = b;
                }
            }
        }
        if (first == second) return merges;
        merges.push_back(best);
        trees[first].number = static_cast<std::int32_t>(items.size() + merges.size() - 1);
        trees[first].items.insert(trees[first].items.end(), trees[second].items.begin(),
                                  trees[second].items.end());
        trees.erase(trees.begin() + static_cast<std::ptrdiff_t>(second));
    }
}

TEST(merges_equal_those_found_by_trying_all_pairs) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 200; ++round) {
        const Items items(1 + random() % 15, round % 2 == 1, random);
        const LinkageMethod method = round % 4 < 2 ? LinkageMethod::ward : LinkageMethod::average;
        std::vector<double> distances = items.distances();
        const std::vector<Merge> found =
            linkage(distances, items.weights, items.kinds, method, Executor(1));
        const std::vector<Merge> expected = naive(items, method);
        CHECK(found.size() == expected.size());
        for (std::size_t m = 0; m < found.size(); ++m) {
            CHECK(found[m].first == expected[m].first);
            CHECK(found[m].second == expected[m].second);
            CHECK(std::abs(found[m].cost - expected[m].cost) < 1e-9);
        }
    }
}

TEST(costs_rise_also_where_all_distances_are_equal) {
    std::vector<double> distances(400, 1.0 / 3);
    const std::vector<double> weights(20, 0.1);
    const std::vector<Merge> merges =
        linkage(distances, weights, {}, LinkageMethod::ward, Executor(1));
    CHECK(merges.size() == 19);
    for (std::size_t m = 0; m < merges.size(); ++m) {
        CHECK(m == 0 || merges[m].cost >= merges[m - 1].cost);
        CHECK(merges[m].first != merges[m].second);
    }
}

TEST(bad_items_are_refused) {
    std::vector<double> distances{0, 1, 1, 0};
    std::vector<double> weights{1, 0};
    const auto link = [&] {
        return linkage(distances, weights, {}, LinkageMethod::ward, Executor(1));
    };
    CHECK_THROWS(std::invalid_argument, link());
    weights[1] = 1;
    distances[2] = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS(std::invalid_argument, link());
    distances.pop_back();
    CHECK_THROWS(std::invalid_argument, link());
}

}  // namespace
