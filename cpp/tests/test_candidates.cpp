#include "labelquorum/candidates.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using labelquorum::Executor;
using labelquorum::FloatType;
using labelquorum::Metric;
using labelquorum::nearest_candidates;
using labelquorum::Neighbors;
using labelquorum::Points;

namespace {

Points view(const std::vector<double>& values, std::size_t m) {
    return {values.data(),  FloatType::f64,    static_cast<std::ptrdiff_t>(m * sizeof(double)),
            sizeof(double), values.size() / m, m};
}

std::vector<double> random_values(std::mt19937_64& random, std::size_t n) {
    std::vector<double> values(n);
    for (double& value : values) value = static_cast<double>(random() % 7) - 3;
    return values;
}

TEST(all_points_as_candidates_give_the_exact_neighbors) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 60; ++round) {
        const std::size_t m = 1 + random() % 9;
        const std::size_t n = 1 + random() % 40;
        const std::size_t n_queries = 1 + random() % 20;
        const auto x = random_values(random, n * m);
        const auto y = random_values(random, n_queries * m);
        const std::size_t k = 1 + random() % n;
        std::vector<std::int64_t> candidates;
        for (std::size_t q = 0; q < n_queries; ++q) {
            for (std::size_t i = 0; i < n; ++i) {
                candidates.push_back(static_cast<std::int64_t>((i * 7 + q) % n));
                if (i % 3 == 0) candidates.push_back(-1);
            }
            for (std::size_t i = 0; i < n; ++i) candidates.push_back(static_cast<std::int64_t>(i));
        }
        const Points queries = view(y, m);
        for (const Metric metric : {Metric::euclidean, Metric::cosine, Metric::inner_product}) {
            const auto expected = labelquorum::nearest_neighbors<double>(view(x, m), &queries, k,
                                                                         metric, 1, Executor(1));
            for (const int n_threads : {1, 3}) {
                const auto found = nearest_candidates<double>(view(x, m), queries, candidates, k,
                                                              metric, Executor(n_threads));
                CHECK(found.k == k);
                CHECK(found.indices == expected.indices);
                CHECK(found.distances == expected.distances);
            }
        }
    }
}

TEST(missing_candidates_are_marked) {
    const std::vector<double> x{0, 1, 2};
    const std::vector<double> y{2, 0};
    const std::vector<std::int64_t> candidates{-1, 0, 0, -1, -1, -1};
    const auto found = nearest_candidates<float>(view(x, 1), view(y, 1), candidates, 2,
                                                 Metric::euclidean, Executor(1));
    CHECK(found.indices == (std::vector<std::int64_t>{0, -1, -1, -1}));
    CHECK(found.distances[0] == 2.0F);
    for (std::size_t i = 1; i < 4; ++i) CHECK(std::isinf(found.distances[i]));
}

TEST(bad_arguments_are_refused) {
    const std::vector<double> x{0, 1, 2};
    const Points points = view(x, 1);
    const auto call = [&](std::vector<std::int64_t> candidates, std::size_t k) {
        return nearest_candidates<double>(points, points, candidates, k, Metric::euclidean,
                                          Executor(1));
    };
    CHECK_THROWS(std::invalid_argument, call({0, 1, 3}, 1));
    CHECK_THROWS(std::invalid_argument, call({0, 1}, 1));
    CHECK_THROWS(std::invalid_argument, call({0, 1, 2}, 0));
    CHECK_THROWS(std::invalid_argument, call({0, 1, 2}, 2));
}

}  // namespace
