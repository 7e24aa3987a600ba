#include "labelquorum/neighbors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"

using labelquorum::Executor;
using labelquorum::FloatType;
using labelquorum::Metric;
using labelquorum::nearest_neighbors;
using labelquorum::Points;

namespace {

struct Interrupted {};

// Rows of small whole numbers in any type and layout. Sums are exact and ties common.
struct Grid {
    std::size_t n_rows;
    std::size_t n_columns;
    std::vector<int> values;
    std::vector<float> floats;
    std::vector<double> doubles;
    FloatType type;
    bool columns_first;

    Grid(std::mt19937_64& random, std::size_t n, std::size_t m, int width)
        : n_rows(n),
          n_columns(m),
          values(n * m),
          type(random() % 2 == 0 ? FloatType::f32 : FloatType::f64),
          columns_first(random() % 2 == 0) {
        for (int& value : values) {
            value = static_cast<int>(random() % static_cast<unsigned>(width)) - width / 2;
        }
        floats.resize(n * m);
        doubles.resize(n * m);
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t c = 0; c < m; ++c) {
                const std::size_t to = columns_first ? c * n + i : i * m + c;
                floats[to] = static_cast<float>(at(i, c));
                doubles[to] = at(i, c);
            }
        }
    }

    int at(std::size_t i, std::size_t c) const { return values[i * n_columns + c]; }

    Points view() const {
        const std::ptrdiff_t size = type == FloatType::f32 ? 4 : 8;
        const auto n = static_cast<std::ptrdiff_t>(n_rows);
        const auto m = static_cast<std::ptrdiff_t>(n_columns);
        const void* data = type == FloatType::f32 ? static_cast<const void*>(floats.data())
                                                  : static_cast<const void*>(doubles.data());
        return {data,   type,     columns_first ? size : m * size, columns_first ? n * size : size,
                n_rows, n_columns};
    }
};

// An exact distance; smaller is nearer. There is no cosine, because its ties depend on rounding.
double naive_distance(const Grid& a, std::size_t i, const Grid& b, std::size_t j, Metric metric) {
    double sum = 0;
    for (std::size_t c = 0; c < a.n_columns; ++c) {
        const double x = a.at(i, c);
        const double y = b.at(j, c);
        sum += metric == Metric::euclidean ? (x - y) * (x - y) : -x * y;
    }
    return metric == Metric::euclidean ? std::sqrt(sum) : sum;
}

labelquorum::Neighbors<double> search(const Points& points, const Points* queries, std::size_t k,
                                      Metric metric, const Executor& executor) {
    return nearest_neighbors<double>(points, queries, k, metric, 1, executor);
}

TEST(neighbors_equal_the_naive_ones) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 300; ++round) {
        const std::size_t n = 2 + random() % 300;
        const std::size_t m = 1 + random() % (round % 3 == 0 ? 130 : 6);
        const int width = 1 + static_cast<int>(random() % 40);
        const Grid points(random, n, m, width);
        const Grid others(random, 1 + random() % 50, m, width);
        const bool same = random() % 2 == 0;
        const Grid& queries = same ? points : others;
        const std::size_t k = 1 + random() % (n - (same ? 1 : 0));
        const Metric metric = random() % 2 == 0 ? Metric::euclidean : Metric::inner_product;
        const Points queries_view = others.view();
        const int n_threads = std::vector{1, 2, 8}[random() % 3];
        const auto found =
            search(points.view(), same ? nullptr : &queries_view, k, metric, Executor(n_threads));
        for (std::size_t q = 0; q < queries.n_rows; ++q) {
            std::vector<std::pair<double, std::int64_t>> expected;
            for (std::size_t j = 0; j < n; ++j) {
                if (same && j == q) continue;
                expected.emplace_back(naive_distance(queries, q, points, j, metric), j);
            }
            std::sort(expected.begin(), expected.end());
            for (std::size_t i = 0; i < k; ++i) {
                CHECK(found.indices[q * k + i] == expected[i].second);
                CHECK(found.distances[q * k + i] == expected[i].first);
            }
        }
    }
}

// Enough rows for several blocks on both sides, and for bounds to matter.
TEST(many_rows_have_the_nearest_by_a_plain_scan) {
    std::mt19937_64 random(2);
    std::normal_distribution<double> normal;
    constexpr std::size_t n = 2000;
    constexpr std::size_t m = 40;
    constexpr std::size_t k = 12;
    std::vector<double> values(n * m);
    for (std::size_t i = 0; i < n; ++i) {
        const double offset = static_cast<double>(random() % 5) * 30;
        for (std::size_t c = 0; c < m; ++c) values[i * m + c] = offset + normal(random);
    }
    const Points points{values.data(), FloatType::f64, m * 8, 8, n, m};
    for (const Metric metric : {Metric::euclidean, Metric::cosine, Metric::inner_product}) {
        const auto found = search(points, nullptr, k, metric, Executor(1));
        const auto again = search(points, nullptr, k, metric, Executor(3));
        CHECK(found.indices == again.indices);
        CHECK(found.distances == again.distances);
        if (metric != Metric::euclidean) continue;
        for (std::size_t q = 0; q < n; q += 7) {
            std::vector<double> all;
            for (std::size_t j = 0; j < n; ++j) {
                if (j == q) continue;
                double sum = 0;
                for (std::size_t c = 0; c < m; ++c) {
                    const double gap = values[q * m + c] - values[j * m + c];
                    sum += gap * gap;
                }
                all.push_back(std::sqrt(sum));
            }
            std::sort(all.begin(), all.end());
            for (std::size_t i = 0; i < k; ++i) {
                CHECK(std::abs(found.distances[q * k + i] - all[i]) <= 1e-12 * all[i]);
            }
        }
    }
}

TEST(half_precision_is_read_exactly) {
    // 1, -2, the smallest positive value, the largest value.
    const std::vector<std::uint16_t> halves{0x3c00, 0xc000, 0x0001, 0x7bff};
    const Points points{halves.data(), FloatType::f16, 2, 2, 4, 1};
    const auto found = search(points, nullptr, 3, Metric::inner_product, Executor(1));
    const std::vector<double> values{1, -2, std::ldexp(1, -24), 65504};
    for (std::size_t q = 0; q < 4; ++q) {
        for (std::size_t i = 0; i < 3; ++i) {
            const auto j = static_cast<std::size_t>(found.indices[q * 3 + i]);
            CHECK(found.distances[q * 3 + i] == -values[q] * values[j]);
        }
    }
}

// Points in tight groups. Checks the share of neighbors that are as near as the true ones.
struct Groups {
    std::size_t n;
    std::size_t m;
    std::vector<float> values;

    Groups(std::size_t n_points, std::size_t n_columns, std::size_t n_groups, unsigned seed)
        : n(n_points), m(n_columns), values(n_points * n_columns) {
        std::mt19937_64 random(seed);
        std::normal_distribution<float> normal;
        std::vector<float> centers(n_groups * m);
        for (float& value : centers) value = 5 * normal(random);
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t group = random() % n_groups;
            for (std::size_t c = 0; c < m; ++c) {
                values[i * m + c] = centers[group * m + c] + normal(random);
            }
        }
    }
    Points view() const {
        return {values.data(), FloatType::f32, static_cast<std::ptrdiff_t>(m * 4), 4, n, m};
    }
};

double true_recall(const labelquorum::Neighbors<double>& found,
                   const labelquorum::Neighbors<double>& expected) {
    std::size_t n_right = 0;
    for (std::size_t i = 0; i < found.distances.size(); ++i) {
        const std::size_t kth = i / found.k * found.k + found.k - 1;
        n_right += found.distances[i] <= expected.distances[kth] ? 1U : 0U;
    }
    return static_cast<double>(n_right) / static_cast<double>(found.distances.size());
}

TEST(a_wanted_recall_is_reached) {
    for (const auto& [n, m] : {std::pair<std::size_t, std::size_t>{13'000, 12}, {12'000, 120}}) {
        const Groups points(n, m, 60, 1);
        const Groups others(6000, m, 60, 1);
        const Points queries = others.view();
        for (const Metric metric : {Metric::euclidean, Metric::cosine, Metric::inner_product}) {
            for (const Points* of : {static_cast<const Points*>(nullptr), &queries}) {
                // All rows have the same direction.
                if (m > 96 && (metric != Metric::euclidean || of != nullptr)) continue;
                const auto find = [&](double recall, int n_threads) {
                    return nearest_neighbors<double>(points.view(), of, 10, metric, recall,
                                                     Executor(n_threads));
                };
                const auto expected = find(1, 2);
                CHECK(expected.recall.mean == 1);
                for (const double recall : {0.8, 0.95}) {
                    const auto found = find(recall, 1);
                    CHECK(found.recall.mean >= recall);
                    CHECK(found.recall.n_queries == 200);
                    CHECK(found.recall.least <= found.recall.mean);
                    CHECK(true_recall(found, expected) >= recall - 0.01);
                    const auto again = find(recall, 3);
                    CHECK(found.indices == again.indices);
                    CHECK(found.distances == again.distances);
                }
            }
        }
    }
}

TEST(a_lower_recall_finds_less) {
    const Groups points(20'000, 16, 1, 2);
    const auto find = [&](double recall) {
        return nearest_neighbors<double>(points.view(), nullptr, 10, Metric::euclidean, recall,
                                         Executor(2));
    };
    const auto expected = find(1);
    const double low = true_recall(find(0.7), expected);
    const double high = true_recall(find(0.95), expected);
    CHECK(low >= 0.69);
    CHECK(low < high);
    CHECK(high < 1);
}

TEST(a_custom_distance_finds_what_the_same_metric_does) {
    std::mt19937_64 random(4);
    for (int round = 0; round < 50; ++round) {
        const Grid points(random, 2 + random() % 200, 1 + random() % 5, 9);
        const Grid others(random, 1 + random() % 20, points.n_columns, 9);
        const Points view = others.view();
        const Points* queries = round % 2 == 0 ? &view : nullptr;
        const std::size_t k = 1 + random() % (points.n_rows - (queries == nullptr ? 1 : 0));
        const auto expected = search(points.view(), queries, k, Metric::euclidean, Executor(1));
        const auto found = nearest_neighbors<double>(
            points.view(), queries, k,
            [](const double* a, const double* b, std::int64_t n) {
                double sum = 0;
                for (std::int64_t c = 0; c < n; ++c) sum += (a[c] - b[c]) * (a[c] - b[c]);
                return std::sqrt(sum);
            },
            Executor(1 + round % 3));
        CHECK(found.indices == expected.indices);
        CHECK(found.distances == expected.distances);
    }
    const Grid points(random, 10, 2, 9);
    CHECK_THROWS(std::invalid_argument, nearest_neighbors<double>(
                                            points.view(), nullptr, 1,
                                            [](const double*, const double*, std::int64_t) {
                                                return std::numeric_limits<double>::quiet_NaN();
                                            },
                                            Executor(2)));
}

TEST(bad_values_and_shapes_are_refused) {
    std::vector<float> values(12, 1);
    Points points{values.data(), FloatType::f32, 8, 4, 6, 2};
    const auto find = [&](std::size_t k) {
        return search(points, nullptr, k, Metric::euclidean, Executor(2));
    };
    CHECK_THROWS(std::invalid_argument, find(0));
    CHECK_THROWS(std::invalid_argument, find(6));
    CHECK(find(5).indices[0] == 1);
    const Points other{values.data(), FloatType::f32, 12, 4, 4, 3};
    CHECK_THROWS(std::invalid_argument, search(points, &other, 1, Metric::cosine, Executor(1)));
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        values[7] = bad;
        try {
            find(1);
            CHECK(false);
        } catch (const std::invalid_argument& error) {
            CHECK(std::string(error.what()).find("row 3, column 1") != std::string::npos);
        }
    }
}

TEST(an_interrupt_ends_the_search) {
    std::mt19937_64 random(3);
    const Grid points(random, 20'000, 64, 100);
    int n_polls = 0;
    labelquorum::Hooks hooks;
    hooks.poll = [&] {
        if (++n_polls == 2) throw Interrupted{};
    };
    CHECK_THROWS(Interrupted, search(points.view(), nullptr, 10, Metric::euclidean,
                                     Executor(2, std::move(hooks))));
}

}  // namespace
