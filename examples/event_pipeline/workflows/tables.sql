-- Instants are texts, which stand in the same order as the instants in every database.
create table if not exists user_event (
    id varchar(40) primary key, timestamp varchar(19) not null, user_id integer not null, event varchar(200) not null,
    social_network_type varchar(40)
);
create table if not exists organization_payment (
    id varchar(40) primary key, timestamp varchar(19) not null, organization_id integer not null,
    event varchar(200) not null, payment_amount decimal(14, 2) not null, payment_processor varchar(100) not null
);
create table if not exists organization_event (
    id varchar(40) primary key, timestamp varchar(19) not null, organization_id integer not null,
    event varchar(200) not null
);
create table if not exists unknown_event (id varchar(40) primary key, read_on varchar(10) not null, body text not null);
create table if not exists organization (
    organization_id integer primary key, organization_name varchar(200), created_date varchar(19),
    modified_date varchar(19)
);
create table if not exists organization_user (
    organization_id integer, user_id integer, created_date varchar(19), modified_date varchar(19),
    primary key (organization_id, user_id)
);
create table if not exists organization_statistic (
    organization_id integer, day varchar(10), statistic varchar(100), value double precision not null,
    primary key (organization_id, day, statistic)
);
