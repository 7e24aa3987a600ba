#include "labelquorum/codebooks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "faults.hpp"

using labelquorum::assign_codebooks;
using labelquorum::assign_signatures;
using labelquorum::Codebook;
using labelquorum::Executor;
using labelquorum::FloatType;
using labelquorum::Metric;
using labelquorum::Points;
using labelquorum::SignatureTable;

namespace {

struct Interrupted {};

// Rows in double precision. With width > 0 they are whole numbers, so sums are exact and ties
// common.
struct Rows {
    std::size_t n;
    std::size_t m;
    std::vector<double> values;

    Rows(std::mt19937_64& random, std::size_t n_rows, std::size_t n_columns, unsigned width)
        : n(n_rows), m(n_columns), values(n_rows * n_columns) {
        std::normal_distribution<double> normal;
        for (double& value : values) {
            value = width > 0 ? static_cast<double>(random() % width) : normal(random);
        }
    }
    Points view() const {
        return {values.data(), FloatType::f64, static_cast<std::ptrdiff_t>(m * 8), 8, n, m};
    }
};

// The columns of the rows that a codebook is for.
std::size_t column(const Codebook& codebook, std::size_t c) {
    return codebook.columns.empty() ? c : codebook.columns[c];
}

std::size_t naive_label(const Rows& rows, std::size_t i, const Codebook& codebook,
                        const Rows& centers, Metric metric) {
    double least = std::numeric_limits<double>::infinity();
    std::size_t label = 0;
    for (std::size_t j = 0; j < centers.n; ++j) {
        double sum = 0;
        for (std::size_t c = 0; c < centers.m; ++c) {
            const double x = rows.values[i * rows.m + column(codebook, c)];
            const double y = centers.values[j * centers.m + c];
            sum += metric == Metric::euclidean ? (x - y) * (x - y) : -x * y;
        }
        if (sum < least) {
            least = sum;
            label = j;
        }
    }
    return label;
}

struct Case {
    Rows rows;
    std::vector<Rows> centers;
    std::vector<Codebook> codebooks;

    Case(std::mt19937_64& random, std::size_t n, std::size_t m, std::size_t n_codebooks,
         unsigned width, std::size_t most_centers)
        : rows(random, n, m, width) {
        for (std::size_t i = 0; i < n_codebooks; ++i) {
            std::vector<std::size_t> columns;
            if (i % 3 == 1) {
                columns.resize(1 + random() % m);
                for (std::size_t& c : columns) c = i % 2 == 0 ? m - 1 : random() % m;
            }
            centers.emplace_back(random, 1 + random() % most_centers,
                                 columns.empty() ? m : columns.size(), width);
            codebooks.push_back({{}, std::move(columns)});
        }
        for (std::size_t i = 0; i < n_codebooks; ++i) codebooks[i].centers = centers[i].view();
    }

    std::vector<std::int32_t> labels(Metric metric, const Executor& executor) const {
        std::vector<std::int32_t> found(rows.n * codebooks.size(), -1);
        assign_codebooks(rows.view(), codebooks, metric, found.data(), executor);
        return found;
    }
};

TEST(labels_equal_the_naive_ones) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 300; ++round) {
        const std::size_t m = 1 + random() % (round % 3 == 0 ? 130 : 6);
        const Case given(random, 1 + random() % 400, m, 1 + random() % 5,
                         1 + static_cast<unsigned>(random() % 40), round % 10 == 0 ? 2000 : 60);
        const Metric metric = random() % 2 == 0 ? Metric::euclidean : Metric::inner_product;
        const auto found = given.labels(metric, Executor(std::vector{1, 2, 8}[random() % 3]));
        for (std::size_t i = 0; i < given.rows.n; i += 1 + random() % 9) {
            for (std::size_t b = 0; b < given.codebooks.size(); ++b) {
                const std::size_t expected =
                    naive_label(given.rows, i, given.codebooks[b], given.centers[b], metric);
                CHECK(found[i * given.codebooks.size() + b] == static_cast<int>(expected));
            }
        }
    }
}

TEST(threads_do_not_change_labels) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 10; ++round) {
        const Case given(random, 3000, 40, 4, 0, 300);
        for (const Metric metric : {Metric::euclidean, Metric::cosine, Metric::inner_product}) {
            const auto found = given.labels(metric, Executor(1));
            CHECK(found == given.labels(metric, Executor(3)));
            for (std::size_t i = 0; i < given.rows.n && metric == Metric::euclidean; i += 50) {
                const std::size_t expected =
                    naive_label(given.rows, i, given.codebooks[0], given.centers[0], metric);
                CHECK(found[i * given.codebooks.size()] == static_cast<int>(expected));
            }
        }
    }
}

TEST(ids_are_those_of_the_labels) {
    std::mt19937_64 random(3);
    for (const int n_threads : {1, 2, 8}) {
        const Case given(random, 3000, 3, 4, 0, 6);
        const std::vector<std::int32_t> labels = given.labels(Metric::euclidean, Executor(2));
        SignatureTable expected(4);
        SignatureTable table(4);
        std::vector<std::int32_t> ids(3000);
        std::vector<std::int64_t> found(3000);
        labelquorum::Partitions partitions;
        partitions.n_rows = 3000;
        for (std::size_t j = 0; j < 4; ++j) {
            partitions.columns.push_back({labels.data() + j, 16, labelquorum::IntegerType::i32});
        }
        const Executor executor(n_threads);
        for (int again = 0; again < 2; ++again) {
            expected.update(partitions, ids.data(), executor);
            assign_signatures(given.rows.view(), given.codebooks, Metric::euclidean, table,
                              found.data(), executor);
            CHECK(std::equal(ids.begin(), ids.end(), found.begin()));
            CHECK(expected.counts() == table.counts());
        }
    }
}

template <class Call>
std::string message_of(Call&& call) {
    try {
        call();
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "";
}

TEST(what_does_not_fit_is_refused) {
    std::mt19937_64 random(4);
    Case given(random, 10, 3, 4, 0, 5);
    std::vector<std::int16_t> labels(40);
    std::vector<std::int32_t> ids(10);
    const Executor executor(1);
    const auto message = [&](const std::vector<Codebook>& codebooks) {
        return message_of([&] {
            assign_codebooks(given.rows.view(), codebooks, Metric::euclidean, labels.data(),
                             executor);
        });
    };
    CHECK(message({}) == "codebooks must hold at least 1 codebook, got 0.");
    std::vector<Codebook> bad = given.codebooks;
    bad[2].centers.n_rows = 0;
    CHECK(message(bad) == "codebooks[2] must have at least 1 center, got 0.");
    bad = given.codebooks;
    bad[3].columns = {0, 1};
    CHECK(message(bad) == "codebooks[3] must have 2 columns, got 3.");
    bad[3].columns = {0, 1, 3};
    CHECK(message(bad) == "columns[3] must hold columns of X, less than 3, got 3.");
    bad = given.codebooks;
    const std::vector<float> many(40'000 * 3);
    bad[0].centers = {many.data(), FloatType::f32, 12, 4, 40'000, 3};
    CHECK(message(bad) ==
          "codebooks[0] must have at most 32767 centers for this type of labels, got 40000.");
    given.centers[1].values.back() = std::numeric_limits<double>::infinity();
    CHECK(message(given.codebooks).find("codebooks[1] must be finite, got infinity at row") == 0);
    given.centers[1].values.back() = 0;
    given.rows.values[5] = std::numeric_limits<double>::quiet_NaN();
    CHECK(message(given.codebooks).find("X must be finite, got NaN at row 1, column 2.") == 0);
    SignatureTable table(3);
    CHECK(message_of([&] {
              assign_signatures(given.rows.view(), given.codebooks, Metric::euclidean, table,
                                ids.data(), executor);
          }) == "table must have one partition per codebook, 4, got 3.");
}

TEST(an_interrupted_call_leaves_the_table_as_it_was) {
    std::mt19937_64 random(5);
    const Case given(random, 20'000, 60, 6, 0, 900);
    SignatureTable table(6);
    std::vector<std::int32_t> ids(20'000);
    for (const int n_threads : {1, 3}) {
        const Executor executor(n_threads, {[] { throw Interrupted{}; }, {}});
        CHECK_THROWS(Interrupted, assign_signatures(given.rows.view(), given.codebooks,
                                                    Metric::cosine, table, ids.data(), executor));
        CHECK(table.size() == 0 && table.n_samples() == 0);
    }
}

TEST(a_failed_allocation_leaves_the_table_as_it_was) {
    std::mt19937_64 random(6);
    const Case given(random, 300, 5, 3, 0, 20);
    SignatureTable table(3);
    std::vector<std::int32_t> ids(300);
    std::int64_t n_done = 0;
    faults::for_each_allocation([&](long long k, bool only_once) {
        const bool done = faults::survives(k, only_once, [&] {
            assign_signatures(given.rows.view(), given.codebooks, Metric::euclidean, table,
                              ids.data(), Executor(2));
        });
        n_done += done ? 300 : 0;
        CHECK(table.n_samples() == n_done);
    });
}

}  // namespace
