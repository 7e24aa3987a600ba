// Clustering heads: gradients equal finite differences; any number of threads, same bits.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"
#include "labelquorum/heads.hpp"

using namespace labelquorum;

namespace {

struct Problem {
    HeadShape shape;
    std::size_t n_rows;
    std::vector<double> rows, student, teacher, log_means;
    std::vector<std::int64_t> pairs;
};

std::vector<double> normal(std::mt19937_64& random, std::size_t n) {
    std::normal_distribution<double> any;
    std::vector<double> values(n);
    for (double& value : values) value = any(random);
    return values;
}

Problem random_problem(const HeadShape& shape, std::size_t n_rows, std::size_t n_pairs,
                       unsigned seed) {
    std::mt19937_64 random(seed);
    Problem problem{shape, n_rows, normal(random, n_rows * shape.n_columns), {}, {}, {}, {}};
    for (std::size_t r = 0; r < n_rows; ++r) {
        double square = 0;
        double* row = problem.rows.data() + r * shape.n_columns;
        for (std::size_t c = 0; c < shape.n_columns; ++c) square += row[c] * row[c];
        for (std::size_t c = 0; c < shape.n_columns; ++c) row[c] /= std::sqrt(square);
    }
    problem.student = normal(random, shape.n_weights());
    problem.teacher = normal(random, shape.n_weights());
    std::uniform_real_distribution<double> part(0.02, 1.0);
    for (std::size_t c = 0; c < shape.n_heads * shape.n_clusters; ++c) {
        problem.log_means.push_back(std::log(part(random)));
    }
    for (std::size_t p = 0; p < 2 * n_pairs; ++p) {
        problem.pairs.push_back(static_cast<std::int64_t>(random() % n_rows));
    }
    return problem;
}

template <class Real>
struct Result {
    std::vector<Real> losses, gradient;
};

template <class Real>
Result<Real> evaluate(const Problem& problem, const HeadObjective& objective) {
    const auto as_real = [](const std::vector<double>& from) {
        return std::vector<Real>(from.begin(), from.end());
    };
    const std::vector<Real> rows = as_real(problem.rows);
    Result<Real> result{std::vector<Real>(problem.shape.n_heads),
                        std::vector<Real>(problem.shape.n_weights())};
    const std::vector<Real> student = as_real(problem.student);
    const std::vector<Real> teacher = as_real(problem.teacher);
    const std::vector<Real> log_means = as_real(problem.log_means);
    head_losses<Real>({rows.data(), problem.n_rows, problem.shape.n_columns}, problem.pairs,
                      problem.shape, objective, student, teacher, log_means, result.losses,
                      result.gradient);
    return result;
}

// The probabilities of a row under one head.
std::vector<double> probabilities(const Problem& problem, const std::vector<double>& weights,
                                  std::size_t head, std::int64_t row, double temperature) {
    const auto [n_heads, k, d] = problem.shape;
    const double* x = problem.rows.data() + static_cast<std::size_t>(row) * d;
    std::vector<double> p(k);
    double sum = 0;
    for (std::size_t c = 0; c < k; ++c) {
        const double* w = weights.data() + (head * k + c) * d;
        double dot = 0;
        double square = 0;
        for (std::size_t j = 0; j < d; ++j) {
            dot += w[j] * x[j];
            square += w[j] * w[j];
        }
        p[c] = std::exp(dot / std::sqrt(square) / temperature);
        sum += p[c];
    }
    for (double& value : p) value /= sum;
    return p;
}

// The mean loss of a head, as the header says it.
double naive_loss(const Problem& problem, const HeadObjective& objective, std::size_t head) {
    double total = 0;
    const std::size_t k = problem.shape.n_clusters;
    for (std::size_t i = 0; i < problem.pairs.size(); i += 2) {
        const auto of = [&](const std::vector<double>& weights, std::size_t at) {
            return probabilities(problem, weights, head, problem.pairs[at], objective.temperature);
        };
        const auto px = of(problem.student, i), py = of(problem.student, i + 1);
        const auto qx = of(problem.teacher, i), qy = of(problem.teacher, i + 1);
        double weight = 0, x = 0, y = 0;
        for (std::size_t c = 0; c < k; ++c) {
            const double mean = std::exp(problem.log_means[head * k + c]);
            weight += qx[c] * qy[c];
            x += std::pow(px[c] * qy[c], objective.sharing) / mean;
            y += std::pow(py[c] * qx[c], objective.sharing) / mean;
        }
        total -= weight * (std::log(x) + std::log(y)) / 2;
    }
    return 2 * total / static_cast<double>(problem.pairs.size());
}

bool near(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance; }

double largest(const std::vector<double>& values) {
    double most = 0;
    for (const double value : values) most = std::max(most, std::abs(value));
    return most;
}

const HeadShape shapes[] = {{1, 1, 1}, {1, 2, 3}, {3, 5, 7}, {2, 20, 33}, {5, 3, 64}, {4, 9, 100}};

}  // namespace

TEST(loss_and_gradient_in_double_precision) {
    unsigned seed = 0;
    for (const HeadShape& shape : shapes) {
        for (const std::size_t n_pairs : {1, 64, 77}) {
            Problem problem = random_problem(shape, 40, n_pairs, ++seed);
            const HeadObjective objective{0.3, 0.6};
            const Result<double> result = evaluate<double>(problem, objective);
            for (std::size_t head = 0; head < shape.n_heads; ++head) {
                CHECK(near(result.losses[head], naive_loss(problem, objective, head), 1e-12));
            }
            std::mt19937_64 random(seed);
            for (int i = 0; i < 20; ++i) {
                const std::size_t at = random() % shape.n_weights();
                const std::size_t head = at / (shape.n_clusters * shape.n_columns);
                constexpr double step = 1e-5;
                const double before = problem.student[at];
                problem.student[at] = before + step;
                const double up = naive_loss(problem, objective, head);
                problem.student[at] = before - step;
                const double down = naive_loss(problem, objective, head);
                problem.student[at] = before;
                CHECK(near(result.gradient[at], (up - down) / (2 * step), 1e-8));
            }
        }
    }
}

TEST(single_precision_is_near_double_precision) {
    unsigned seed = 100;
    for (const HeadShape& shape : shapes) {
        const Problem problem = random_problem(shape, 40, 100, ++seed);
        const HeadObjective objective{0.1, 0.6};
        const Result<double> exact = evaluate<double>(problem, objective);
        const Result<float> fast = evaluate<float>(problem, objective);
        for (std::size_t head = 0; head < shape.n_heads; ++head) {
            CHECK(near(static_cast<double>(fast.losses[head]), exact.losses[head], 0.01));
        }
        const double scale = largest(exact.gradient);
        for (std::size_t i = 0; i < exact.gradient.size(); ++i) {
            CHECK(near(static_cast<double>(fast.gradient[i]), exact.gradient[i],
                       0.05 * scale + 1e-7));
        }
    }
}

namespace {

struct Trained {
    std::vector<float> weights, losses;
    bool operator==(const Trained&) const = default;
};

Trained train(std::size_t n_rows, const HeadShape& shape, std::size_t n_neighbors, int n_threads,
              std::size_t n_passes = 3, bool is_zero = false) {
    std::mt19937_64 random(n_rows);
    const Problem problem = random_problem(shape, n_rows, 1, 1);
    std::vector<float> rows(problem.rows.begin(), problem.rows.end());
    if (is_zero) std::fill(rows.begin(), rows.end(), 0.0F);
    std::vector<std::int32_t> neighbors;
    for (std::size_t i = 0; i < n_rows * n_neighbors; ++i) {
        neighbors.push_back(static_cast<std::int32_t>(random() % n_rows));
    }
    Trained trained{{problem.student.begin(), problem.student.end()},
                    std::vector<float>(shape.n_heads)};
    HeadTraining training;
    training.n_passes = n_passes;
    training.batch_size = 200;
    train_heads<std::int32_t>({rows.data(), n_rows, shape.n_columns},
                              {neighbors.data(), n_neighbors}, shape, training, trained.weights,
                              trained.losses, Executor(n_threads));
    return trained;
}

}  // namespace

TEST(any_number_of_threads_gives_the_same_bits) {
    for (const HeadShape& shape :
         {HeadShape{7, 5, 40}, HeadShape{16, 20, 50}, HeadShape{3, 300, 9}}) {
        const Trained one = train(1000, shape, 4, 1);
        for (const int n_threads : {2, 3, 16}) CHECK(train(1000, shape, 4, n_threads) == one);
    }
}

TEST(directions_have_length_1_and_all_is_finite) {
    for (const std::size_t n_rows : {1, 2, 63, 65, 450}) {
        for (const std::size_t n_neighbors : {0, 1, 5}) {
            for (const bool is_zero : {false, true}) {
                for (const HeadShape& shape : {HeadShape{1, 1, 1}, HeadShape{2, 3, 31},
                                               HeadShape{2, 70, 32}, HeadShape{3, 6, 65}}) {
                    const Trained trained = train(n_rows, shape, n_neighbors, 2, 30, is_zero);
                    for (const float loss : trained.losses) CHECK(std::isfinite(loss));
                    for (std::size_t line = 0; line < shape.n_heads * shape.n_clusters; ++line) {
                        double square = 0;
                        for (std::size_t c = 0; c < shape.n_columns; ++c) {
                            const double w =
                                static_cast<double>(trained.weights[line * shape.n_columns + c]);
                            square += w * w;
                        }
                        CHECK(near(square, 1, 1e-5));
                    }
                }
            }
        }
    }
}

TEST(pairs_are_drawn_evenly) {
    std::vector<int> rows(10), slots(4);
    for (std::uint64_t i = 0; i < 40000; ++i) {
        const HeadPair pair = draw_pair(5, i, 10, 4);
        ++rows[pair.row];
        ++slots[pair.slot];
    }
    for (const int count : rows) CHECK(std::abs(count - 4000) < 300);
    for (const int count : slots) CHECK(std::abs(count - 10000) < 500);
}

TEST(bad_arguments_are_refused) {
    const std::vector<float> rows(20, 0.5F);
    std::vector<std::int32_t> neighbors(20, 1);
    std::vector<float> weights(12), losses(2);
    const HeadShape shape{2, 3, 2};
    const auto run = [&](const HeadShape& of, const HeadTraining& training) {
        train_heads<std::int32_t>({rows.data(), 10, 2}, {neighbors.data(), 2}, of, training,
                                  weights, losses, Executor(1));
    };
    run(shape, {});
    HeadTraining bad;
    bad.objective.temperature = 0;
    CHECK_THROWS(std::invalid_argument, run(shape, bad));
    bad = {};
    bad.momentum = 1;
    CHECK_THROWS(std::invalid_argument, run(shape, bad));
    bad = {};
    bad.n_passes = 0;
    CHECK_THROWS(std::invalid_argument, run(shape, bad));
    CHECK_THROWS(std::invalid_argument, run({2, 3, 4}, {}));
    CHECK_THROWS(std::invalid_argument, run({2, 4, 2}, {}));
    CHECK_THROWS(std::invalid_argument, run({0, 3, 2}, {}));
    neighbors[19] = 10;
    CHECK_THROWS(std::invalid_argument, run(shape, {}));
    neighbors[19] = -1;
    CHECK_THROWS(std::invalid_argument, run(shape, {}));
}
